"""What the tickets of `Examples/support-tickets.jsonl` say, by category.

`core` sentences state the problem on their own, `more` sentences may follow any core of the category. Worded apart from
`helpdesk_topics.py`, from which the pocket model is pretrained.
"""

from dataclasses import dataclass

from words import bank


@dataclass
class Category:
    name: str
    priority: str
    action: str
    core: list[str]
    more: list[str]

    @property
    def answer(self) -> str:
        return f"Category: {self.name}\nPriority: {self.priority}\nAction: {self.action}"


CATEGORIES: list[Category] = []


def category(name: str, priority: str, action: str, core: str, more: str) -> None:
    CATEGORIES.append(Category(name, priority, action, bank(core), bank(more)))


category("Shipping - Damaged Item", "High", "Initiate replacement", """
    My order {order} arrived with a broken screen
    The {hard} I ordered showed up cracked down the middle.
    Opened the parcel this morning and the {hard} is in two pieces.
    Order {order} came damaged. The {hard} has a huge dent in the side.
    The {hard} got crushed somewhere on the way to me.
    There is broken glass all over the inside of the box, so the {hard} is useless.
    Item arrived damaged, looks like the parcel was dropped.
    You clearly didn't use enough padding, my {hard} is smashed.
    My new {gadget} has a cracked display and I haven't even used it yet.
    The packaging was torn open and the {hard} is badly scratched.
    Just received my coffee table and one leg is snapped off.
    My wife's birthday present came broken. The {hard} is chipped along the edge.
    The rug was soaking wet and stained when the box got here.
    I can send photos: the {hard} arrived completely shattered.
    Box looked like someone had jumped on it, and the {hard} inside is bent.
    Received damaged goods. The suitcase won't close because its hinge is broken.
    Why was my tent delivered with a big hole in it?
    The {gadget} rattles and the casing is split, it was damaged in the post.
    Two of the six glasses in order {order} were broken on arrival.
    I've only just unpacked the frying pan and the handle came off in my hand, it was already broken.
    The bottle burst inside the package and everything is sticky.
    Parcel arrived squashed flat. The {hard} is ruined.
    the {hard} came broken
    The zip on the backpack was ripped out when I took it from the box.
    My {hard} has arrived in terrible condition, there are cracks everywhere.
    Screen is shattered on the {gadget} you delivered today.
    I was so excited about my {hard}, but it turned up damaged.
    It seems the courier threw my parcel around because the {hard} has a broken corner.
    The {hard} from your shop is damaged, part of it is hanging off.
    Delivered today: one {hard}, badly dented.
    The mirror in my package arrived smashed, please be careful, there were shards everywhere.
    The frame of the mirror was bent out of shape during shipping.
    Half of the {hard} is fine, the other half is crushed.
    I'm holding a {gadget} with a smashed corner, straight out of your box.
    A big scratch runs across the whole front of the {hard} that arrived today.
    Please help, the ceramic teapot broke in transit.
    The seal was broken and the face cream had leaked all over the carton.
    The {hard} in my delivery is cracked, can I get another one?
    Whoever packed order {order} forgot the bubble wrap and now the {hard} is broken.
    My {gadget} arrived dead and with a dented case.
    The car seat came with torn fabric and a broken buckle.
    One shelf was cracked and another was chipped when I unpacked the bookshelf.
    """, """
    The box was badly dented too.
    I can send pictures of the damage.
    I need a replacement that isn't broken.
    It was supposed to be a gift.
    Please replace it.
    I haven't thrown away the packaging.
    It can't be repaired.
    """)
category("Shipping - Late Delivery", "Medium", "Check status with carrier", """
    My package was due {days} days ago and I'm still waiting.
    Where is my order? It was meant to arrive on {weekday}.
    Order {order} is late. When will it be delivered?
    The estimated delivery was last {weekday} but the {product} hasn't turned up yet.
    Still waiting on the {product} I bought {days} weeks ago.
    Tracking hasn't been updated in {days} days. Is my delivery still coming?
    Delivery is taking much longer than you advertised.
    I chose next-day delivery and it's been {days} days now.
    My parcel keeps saying "out for delivery" but it never comes.
    Could you tell me why order {order} is delayed?
    Your site said 2-3 business days. It has been nearly two weeks.
    Any update on my late {product}?
    The delivery date for my {product} has been moved back again.
    Shipment still sitting in the {city} warehouse since {weekday}, what's the hold up?
    I took a day off work to receive my {product} and nobody came.
    How come my delivery is so slow?
    I need this {product} before {weekday} and it hasn't even shipped yet.
    It's been over {days} weeks since I ordered. When should I expect the {product}?
    order {order} still not here, getting impatient
    The courier rescheduled my delivery for the third time.
    My order has been "processing" for {days} days, when does it ship?
    What is the new arrival date for order {order}? The old one has passed.
    I was expecting my {product} yesterday.
    Paid extra for fast shipping and my {product} is running {days} days behind.
    Why hasn't my {product} shipped yet? I ordered it back in {month}.
    It says arriving today every single day, but there's no delivery.
    My delivery window was this morning and no van has come.
    Your delivery estimate was way off, I'm still without my {product}.
    Can you check on order {order}? It should have been here by now.
    The holiday is on {weekday} and the gifts I ordered are delayed.
    I've been tracking my parcel for {days} days and it's barely moving.
    How many more days until my {product} arrives? It's overdue.
    My shipment has been delayed at customs for {days} weeks.
    The {product} was promised for {weekday}. It's now a week late.
    Is there a delay with deliveries to {city}? My order is late.
    Expected delivery: {weekday}. Actual delivery: still waiting.
    Seriously, how long does it take to deliver one {product}?
    I'd like to know when the {product} will finally be delivered.
    The parcel is taking ages to get to {city}.
    My order shipped on {weekday} but delivery is stalled.
    Late again! The last three deliveries all came days after the promised date.
    Hoping for some news about my delayed {product}.
    """, """
    Can you give me a new delivery date?
    I need it by {weekday}.
    The tracking page isn't helping.
    This delay is a real nuisance.
    Please chase the courier.
    I paid for express.
    How much longer will it be?
    """)
category("Shipping - Lost Package", "High", "Open carrier investigation", """
    My parcel is lost and the courier can't tell me where it is.
    Tracking shows delivered, but there is no package anywhere.
    I think my package was stolen from the front step.
    Order {order} has disappeared. The carrier has no record of it.
    It says my {product} was delivered on {weekday}, but I never received it.
    The courier confirmed that they lost my {product}.
    My package has gone missing between {city} and {city2}.
    Marked as delivered to a neighbour, but none of my neighbours has it.
    The {product} was supposedly left in my garage. I don't have a garage.
    I never got order {order} even though your system says it was handed over.
    Missing package! Somebody signed for it and it wasn't me.
    The post office says my parcel has vanished from their system.
    My {product} never arrived and the carrier has declared it lost.
    Delivery photo shows someone else's house, so my parcel is missing.
    Please find my missing package, tracking number ends in {order}.
    I believe the driver delivered my {product} to a stranger and now it's gone.
    The parcel locker was empty when I went to pick up my {product}.
    package lost in the mail, please help
    Your courier says delivered, I say it was never here.
    The {product} was stolen off our porch before I got home.
    According to the carrier the box fell off the truck and cannot be located.
    My parcel went missing after the depot in {city}.
    The tracking number says "lost in transit".
    I've asked everyone in the building, nobody has seen my package.
    Supposedly delivered at noon. I was home all day and no one came, the package is gone.
    Can you look into a missing parcel? Order {order}.
    The shipment seems to have been lost, there's no trace of it since {month}.
    I checked the porch, the mailbox and the lobby, but the delivered {product} isn't there.
    Somebody took my package from the mail room.
    Carrier lost my stuff. What happens now?
    My {product} is missing, the box I got was empty!
    I got a delivery notice for order {order}, but no parcel came with it.
    The parcel shop claims I already collected the {product}, which I did not.
    The driver scanned my package as delivered and then drove off with it.
    It looks like order {order} got lost at the sorting centre.
    Where did my package go? The status says received by customer, but I have nothing.
    I never received my {product}, and now the tracking has been closed.
    My delivery is lost, I would like you to investigate.
    Thieves stole the parcel from outside my door.
    One of my two parcels is missing, the {product} never came although both were marked delivered.
    The {product} you sent to {city} was never found.
    The courier's last message was that the parcel can't be located.
    """, """
    Nobody at my address signed for it.
    Please open a search for it.
    I've looked everywhere.
    The carrier told me to contact you.
    It has vanished.
    I asked the neighbours already.
    I still don't have the parcel.
    """)
category("Shipping - Wrong Item", "High", "Ship correct item", """
    I got the wrong item. I ordered a {product} and received a {gadget}.
    You sent a {gadget} instead of the {product} I paid for.
    The wrong size was in the box, I needed a large.
    My parcel contains someone else's order.
    This isn't the {product} I picked, it's another model entirely.
    Wrong colour! I chose navy and this one is bright pink.
    Received a {product} that I never ordered.
    Order {order} is mixed up, none of these items are mine.
    I was expecting a {product} but found a {gadget} in the package.
    The {product} you shipped doesn't match what I ordered.
    You've sent me the left-handed guitar, I ordered the right-handed one.
    There's been a mix-up: I have another customer's {product}.
    I ordered the shirt in size 8 and you shipped size 11.
    Incorrect product received for order {order}.
    Instead of my {product} there was a random {gadget} in there.
    The box says {product} but what's inside is a {gadget}.
    wrong thing delivered, this is not what I bought
    I bought the blue {product}, not a yellow one.
    Why did I get a {gadget}? My order was for a {product}.
    The item in the parcel is not the one shown on my order confirmation.
    You shipped the US plug version although I ordered the European one.
    Got the small scarf instead of the extra large one.
    I asked for two pillows in white and got two in brown.
    My order was swapped with somebody else's, the packing slip has a different name.
    You sent the old model of the {gadget}. I ordered the new one.
    The {product} I received is a completely different brand from the one I ordered.
    Pretty sure this {gadget} was meant for another customer.
    Ordered one {product}, received a totally different article.
    I've been sent the wrong product again!
    The picture on your site showed a {product}, what came is a {gadget}.
    You put the wrong {product} in my parcel.
    The label has my name on it but the contents belong to someone called {name}.
    My son wanted the red {product} and you delivered a green one.
    This is the wrong version, I specifically chose the 64 GB tablet.
    The items in my package don't match my order {order}.
    Not what I ordered! This sweater is for kids.
    I received the wrong goods: {gadget} instead of {product}.
    Your warehouse made a mistake and sent me a {gadget}.
    Please swap this, I was sent the short one and ordered the long charging cable.
    The {product} is the wrong colour and the wrong size.
    I got a {gadget} I didn't order, and my {product} is not in the box.
    Instead of order {order} I got the parcel of {name} from {city}.
    """, """
    Please send me the right one.
    I'd like the item I actually ordered.
    It's not what I picked.
    Can you swap it for the correct one?
    I don't want this one.
    The order confirmation shows the right item.
    Looks like a packing mistake.
    """)
category("Shipping - Address Change", "Medium", "Update delivery address", """
    I need to change the delivery address for order {order}.
    Can you ship my {product} to a different address?
    I've just moved to {city}. Please send my order there.
    I put the wrong house number on my order.
    Please update the shipping address before you send the {product}.
    My order is going to my ex-husband's place, can you redirect it?
    I accidentally used my old address for order {order}.
    Is it too late to change where my {product} gets delivered?
    Could you send the parcel to my work address instead?
    There's a typo in my street name, please fix it before shipping.
    We're on holiday next week, so please deliver to my neighbour at number 14.
    I forgot to include the flat number in my address.
    Change of address: please deliver order {order} to 27 Mill Road, {city}.
    The postcode I entered is wrong.
    Please redirect my package to my mother's house in {city}.
    I've moved house and need the address on my order changed.
    How can I edit the shipping address on an order I just placed?
    wrong address on my order, please change to {city}
    I selected the wrong saved address at checkout. Please use my home address.
    Can the {product} be sent to the hotel where I'm staying in {city}?
    Order {order} should go to my new apartment and not the old one.
    I'd like my delivery to go to the office on King Street.
    The address on file is outdated, where should I send the new one?
    Would it be possible to have order {order} delivered to {city} instead of {city2}?
    I wrote the wrong city on my order form.
    I made an error in the address. It should read 8 Garden Lane, not 18.
    Please change the ship-to address on my {product} order.
    My zip code is incorrect on the order confirmation.
    I'd rather have it delivered to my dorm, how do I change that?
    Do not ship to the address on the order! I no longer live there.
    Please correct the recipient's name and address on order {order}.
    We've relocated our office to {city}, kindly update the delivery address.
    Can I switch the delivery from my house to a pick-up point?
    I left out the building name in my shipping details.
    My {product} is about to ship to the wrong street, can you stop it and change the address?
    Need to update my shipping info, I'm moving on {weekday}.
    The address autofill put in my parents' home. Please ship to mine in {city}.
    I want the gift sent straight to my friend {name} in {city} instead of to me.
    What do I do if I entered the wrong address?
    Please add "second floor" to the address for order {order}.
    Can you forward my parcel to a new address in {city}?
    Delivery address needs to be changed to my aunt's place.
    """, """
    It hasn't shipped yet.
    The new address is 12 Oak Street.
    I no longer live at the old address.
    Please confirm the new address.
    I hope it's not too late to change it.
    The rest of the order is fine.
    The street and number are both different.
    """)
category("Account - Subscription", "Medium", "Send plan change instructions", """
    How do I change my subscription plan?
    I'd like to upgrade to the premium plan.
    Can I downgrade my subscription to the basic tier?
    I want to switch from monthly to annual billing.
    What's the easiest way to move to a cheaper plan?
    Please explain how to upgrade my membership.
    I only need the starter plan now. How do I switch?
    Can I put my subscription on pause for {days} months?
    We'd like to go from the team plan to the business plan.
    How can I add two more seats to our plan?
    I'm on the wrong plan, I meant to choose the family one.
    Is there a way to change how often I get my subscription box?
    I want to change my subscription from weekly to monthly.
    Where in the settings can I switch plans?
    Switch me to the pro plan please.
    Can I change tiers in the middle of the month?
    My family has grown, so we need the bigger plan.
    I signed up for the gold plan but silver is enough for me.
    How does upgrading my plan work?
    please tell me how to change plan
    I'd like to skip next month's subscription box.
    I was wondering whether I could move my account to the student plan.
    I want to extend my subscription for a year.
    What do I need to do to get the unlimited plan?
    Our company wants to upgrade its subscription to fifty users.
    Is it possible to freeze my membership while I travel?
    I'd like to try the premium tier for a month and then go back to standard.
    Can you help me modify my subscription?
    I don't use all the features, which smaller plan can I change to?
    How do I turn off auto-renew on my plan?
    I need instructions for moving from the free plan to a paid one.
    Which steps are needed to downgrade from premium?
    Could I get the yearly plan instead of paying every month?
    My plan doesn't have enough storage, how do I get the next one up?
    I'd like to resume the subscription that I paused in {month}.
    Can two people share one subscription, and how would I change to that?
    I accidentally picked the annual plan, please change it to monthly.
    I want to add the sports channel package to my plan.
    When I upgrade my plan, does it start right away?
    I am thinking of switching from the individual plan to the couples plan.
    The trial of the plus plan is ending, how do I move to basic?
    How do I change the number of meals in my weekly plan?
    """, """
    I couldn't find the option in my settings.
    I'd like the new plan from {month}.
    Does the price change straight away?
    I'm on the standard plan right now.
    Which plan would suit me best?
    I want to keep my account, just on another plan.
    The plan page is confusing.
    """)
category("Account - Login", "High", "Send password reset link", """
    I can't sign in, it keeps saying invalid password.
    I'm completely locked out of my account and can't work.
    Forgot my password and the reset email isn't arriving.
    The login page won't accept my password.
    I can't log in on my {device} since {weekday}.
    My account got locked after I mistyped the password.
    How do I get back into my account? I don't remember the password.
    The password reset link says it's expired.
    I never get the verification code when I try to log in.
    It tells me there's no account with my email, but I've used it for years.
    Login fails every time, even after I changed the password.
    I lost access to my old email, so I can't reset my password.
    Somebody changed my password and now I can't get in.
    Your site logs me out as soon as I log in.
    unable to login please help
    Can you reset my password? I've tried everything.
    I'm getting "too many attempts" when I try to sign in.
    The two-step code sent to my phone is always wrong.
    I need access to my account, but my login is blocked.
    Signing in with Google stopped working for me.
    It says my username doesn't exist.
    I got a new {device} and can't sign in to my account on it.
    My password worked yesterday, today it's rejected.
    I've been trying to log in for an hour with no luck.
    What's my username? I can't remember any of my login details.
    I can't access my profile, the login screen just reloads.
    The authenticator app code isn't accepted at login.
    Please unlock my account, I entered the wrong password {days} times.
    My login credentials don't work on the website.
    I clicked "forgot password" and nothing was sent to me.
    Why can't I log into my account anymore?
    My fingerprint login stopped working and I don't know the password.
    Account locked for security reasons, how do I unlock it?
    I think my account was hacked, the password no longer works.
    The reset code you texted me doesn't work.
    I'm stuck at the login page with the message "incorrect email or password".
    Help, I need to get into my account today and the password is wrong.
    My daughter changed the password and forgot it, so now we're locked out.
    I deleted the text with my security code and can't sign in.
    When I enter my password it just says access denied.
    I have trouble logging in with my work email.
    I'd like a new password, the old one isn't recognised.
    """, """
    I've already tried resetting the password.
    I checked my spam folder as well.
    I'm sure the email address is right.
    I need to get into my account today.
    It just says wrong password.
    I tried on my {device} too.
    Please send me a new link.
    """)
category("Account - Cancellation", "High", "Forward to retention team", """
    I'd like to cancel my account.
    Please close my account as soon as possible.
    I want to delete my account for good.
    How can I cancel my membership?
    Cancel my subscription, I'm not using it anymore.
    I no longer need your service, please terminate my account.
    Please remove me from your system, I'm leaving.
    I'm switching to a competitor. Cancel everything.
    I have decided not to continue, kindly close my account.
    Can you cancel my membership before it renews in {month}?
    I'm done with this service, shut my account down.
    Too expensive for me. I want to cancel.
    I wish to end my contract with you.
    Please deactivate my profile and delete my data.
    cancel my account now
    I've asked three times already: cancel my membership!
    My father passed away, please close his account.
    I want out. How do I cancel?
    I'd like to terminate my subscription at the end of the month.
    Your prices went up again, so I'm cancelling.
    We're closing our business and no longer need the account, please cancel it.
    How do I permanently delete my account?
    Please don't renew my membership, I want to quit.
    I'm moving abroad and have to cancel my account.
    Where is the button to delete my account? I want to leave.
    I only signed up for the trial and would like to cancel it.
    Please confirm that my account has been cancelled.
    I hardly ever use it, so please end my membership.
    Stop my membership immediately.
    I regret signing up, please cancel it all.
    Have my account shut by {weekday}, please.
    Is there a fee if I cancel my account early?
    I am not happy with the service any more and want to close my account.
    Close the account under my name, {name}.
    Let me cancel! The website keeps sending me in circles.
    What is the process to close an account?
    I'd like to unsubscribe completely and have my account removed.
    I found something better, so I won't be needing my account anymore.
    Please accept this as my notice of cancellation.
    My circumstances have changed and I need to cancel my membership.
    Account deletion request: please erase everything you have on me.
    I'm quitting, please stop all services on my account.
    """, """
    I don't want to stay a customer.
    Please confirm the cancellation by email.
    I don't want another offer.
    Please delete all my data too.
    I won't be coming back.
    It's just not worth it for me.
    I want it closed this week.
    """)
category("Technical - App Bug", "High", "Escalate to engineering", """
    Your app keeps crashing on my {device}
    The app freezes every time I open my order history.
    Since the latest update the app won't open at all.
    The app shuts itself down as soon as I tap the menu.
    I keep seeing a blank screen in the app.
    The app is stuck on the loading screen on my {device}.
    Your mobile app crashes when I try to add a photo.
    There's a bug in the app: my notifications show up twice.
    The app closes unexpectedly after a few seconds.
    The search function in your app doesn't return any results.
    App is super laggy since version 4.2.
    Push notifications stopped working in the app.
    My {device} gets hot and the app freezes.
    The app says "something went wrong" whenever I open it.
    The scroll in the app jumps around, it must be a bug.
    After updating, all of my favourites in the app were gone.
    The app won't load any images on my {device}.
    app crashing constantly, please fix
    The calendar in the app shows the wrong dates.
    I can't upload files in the app, it freezes at 99 percent.
    The app doesn't respond when I press the save button.
    Every time I rotate my {device} the app crashes.
    The dark theme in your app is glitchy and the text is unreadable.
    Your Android app hangs on startup.
    Found a bug: the app deletes my notes when I close it.
    The sync between the app and my {device} is broken.
    The barcode scanner in the app never focuses.
    The app has been unusable since {weekday}, it crashes all the time.
    The back button in the app takes me to an empty page.
    Voice messages don't play in the app.
    The app keeps crashing when I scroll down.
    My steps are no longer counted in the app after the update.
    The app eats up my battery in two hours, something is wrong with it.
    Chat in the app is broken, the messages don't send.
    The home screen of the app flickers on my {device}.
    The app displays prices as zero, looks like a glitch.
    The filter in the app doesn't work any more.
    I reinstalled the app twice and it still crashes at start.
    The widget shows old data and the app doesn't refresh.
    Opening a link in the app makes it crash.
    The map screen in the app is just grey.
    The app's settings reset themselves every day.
    """, """
    I'm using the latest version of the app.
    Restarting my {device} didn't help.
    I've reinstalled the app twice.
    It started after the last update.
    Please fix this bug.
    My friend's app has the same bug.
    It worked fine last week.
    """)
category("Technical - Checkout Error", "High", "Escalate to payments team", """
    I get an error message every time I try to check out.
    The checkout page won't load.
    My payment is declined at checkout, but my card is fine.
    The "place order" button does nothing when I click it.
    Error 502 at checkout, I can't complete my order.
    Payment failed {days} times while buying a {product}.
    I can't pay, the website crashes on the payment page.
    The checkout keeps spinning after I enter my card.
    Your checkout says my card details are invalid.
    The promo code gives an error at checkout.
    I tried to buy a {product}, and the payment page showed an internal server error.
    My cart empties itself when I go to checkout.
    PayPal doesn't open when I try to pay.
    I'm stuck on the payment step and can't finish my purchase.
    The site throws an error after I confirm my payment.
    checkout broken, can't buy anything
    It won't let me complete the purchase of the {product}.
    I get "transaction could not be processed" when I pay for my order.
    The payment form rejects my billing address.
    When I press pay now the page goes white.
    Your website isn't accepting any of my credit cards at checkout.
    The checkout page times out before I can pay.
    Checkout fails with error code {order}.
    Apple Pay isn't working on your payment page.
    The shipping option can't be selected at checkout, so I can't order.
    I've been trying to order a {product} all day, but checkout fails.
    The bank verification window at checkout never opens.
    I see "session expired" each time I reach the payment page.
    My gift card isn't accepted at checkout.
    The payment page is down.
    I can't get past the checkout, it says unknown error.
    Payment won't go through on your website, I've tried two cards.
    I was about to pay for a {product} when the checkout crashed.
    The final step of checkout shows a 500 error on my {device}.
    The order form says "try again later" when I submit payment.
    At checkout the total shows as NaN and I can't pay.
    Cannot check out as a guest, the page returns an error.
    Every payment method fails at checkout.
    The checkout button is greyed out although my cart is full.
    My card was rejected on the payment page although there's money on it.
    The website gives an error when I enter the security code of my card.
    I can't place my order because checkout freezes on {weekday}'s new site.
    """, """
    I tried another browser with the same error.
    I'd like to place my order today.
    My card works everywhere else.
    I've tried two different cards.
    The items are still in my cart.
    I just want to pay.
    The page shows the error every time.
    """)
category("Technical - Setup Help", "Low", "Send setup guide", """
    How do I set up my new {gadget}?
    I can't figure out how to connect the {smart} to WiFi.
    Is there a setup guide for the {gadget}?
    My {gadget} came without instructions, how do I install it?
    I need help pairing the {smart} with my {device}.
    What are the steps to set up the {smart} for the first time?
    The {smart} won't pair with my {device}, what am I doing wrong in the setup?
    Could you walk me through the installation of the {smart}?
    I just unboxed my {smart} and don't know where to start.
    Where can I find the user manual for the {gadget}?
    I need the assembly instructions for my {gadget}.
    How do I put the {smart} into pairing mode?
    How do I link my {smart} to the app for the first time?
    Which port do I plug the {smart} into?
    The manual for the {gadget} is only in Chinese, do you have an English one?
    how to install {smart}?
    I'm not very technical, could you explain how to set up the {smart}?
    I'm setting up the {smart} and the light keeps blinking red, what's the next step?
    The quick start guide for my {gadget} was not in the box.
    How do I do the initial configuration of the {smart}?
    What's the default PIN to set up the {smart}?
    How do I mount the {gadget}? There are no instructions.
    I bought a {smart} for my grandmother and need simple setup instructions.
    Trying to get my {smart} connected to my home network, any tips?
    Do I need an account to set up the {smart}?
    Please send me a guide for installing the {smart}.
    How do I get my new {smart} up and running?
    I don't understand step {days} of the setup instructions.
    Can I set up the {smart} without a {device}?
    Can you tell me how to turn on Bluetooth on the {smart} so I can pair it?
    I'd like a video that shows how to assemble the {gadget}.
    How do I connect the {smart} to a second network?
    How do I reset the {smart} to factory settings and set it up again?
    My {smart} isn't found when I run the setup, how do I connect it?
    Where does the battery go in the {gadget} and how do I start it?
    Need instructions on installing the {smart} drivers on my {device}.
    I lost the manual of my {gadget}, could you send me one?
    What should I do first after unpacking the {gadget}?
    Could somebody explain how to calibrate the {gadget}?
    Setting up the {smart} is confusing, can you send me the steps?
    How can I change the language of the {smart} during setup?
    I've got the {smart} plugged in, now how do I configure it?
    """, """
    The instructions weren't in the box.
    A step by step guide would be great.
    I'm not good with technology.
    I got stuck on the first step of the setup.
    Is there a video I can follow?
    I couldn't find a manual online.
    It's my first one.
    """)
category("Billing - Invoice", "Low", "Send invoice copy", """
    Could I get the invoice for order {order}?
    I need a receipt for my {product}.
    Please email me a copy of my {month} invoice.
    Where can I download my invoices?
    I never received an invoice for my purchase.
    Can you send the bill to my accountant?
    I need a VAT invoice for order {order}.
    My company needs an invoice with our tax ID on it.
    I've lost the receipt for my {product}, can you resend it?
    Please provide a PDF invoice for the payment of {amount}.
    Could you reissue my invoice with the correct company name?
    I'd like all of my invoices from last year for my tax return.
    The invoice for {month} is missing from my account.
    How do I get an official receipt?
    I need proof of payment for order {order}.
    kindly resend invoice, order {order}
    The name on my invoice is wrong, can I have a corrected copy?
    My boss needs the receipt for the {product} to reimburse me.
    I can't open the invoice you attached, please send it again.
    Can I have an itemised bill for my last order?
    Is it possible to get a printed invoice by post?
    I'm doing my taxes and need a copy of the receipt from {month}.
    Do you send invoices automatically? I haven't got one for my {product}.
    For our records, please forward the invoice for {amount}.
    I accidentally deleted the email with my receipt.
    The invoice should list my business address, please update and resend it.
    Requesting an invoice copy for order {order}.
    I need a receipt for warranty purposes, I bought a {product}.
    Our finance department is asking for the bill for order {order}.
    May I have last month's statement and invoice?
    Could you add our purchase order number to the invoice?
    There was no receipt in the box with the {product}.
    Where do I find the tax invoice for my subscription?
    I'd appreciate a duplicate of invoice {order}.
    The receipt link in my confirmation email is dead.
    I paid {amount} on {weekday} and need a receipt.
    I want to receive my invoices by email from now on.
    Send me the billing document for {month}, please.
    My insurance wants the original invoice for the {product}.
    Can you generate an invoice made out to {name} Consulting?
    I'm missing the invoices for the last {days} months.
    Please resend the bill, the PDF was empty.
    """, """
    I need the invoice for my taxes.
    A PDF is fine.
    My accountant needs it.
    Please send the invoice to this email address.
    It's for our company records.
    No hurry with the invoice.
    The total was {amount}.
    """)
category("Billing - Refund", "Medium", "Check refund status", """
    When is my refund going to be paid?
    I returned the {product} {days} weeks ago and haven't been refunded.
    My refund of {amount} still hasn't arrived.
    Where's my money? You confirmed the refund in {month}.
    I'm waiting for a refund for order {order}.
    How long do refunds usually take?
    The refund for my {product} isn't on my card yet.
    You said 5 days for the refund, it's been {days} weeks.
    I was only refunded part of the money for my {product}.
    What's the status of my refund?
    I cancelled order {order} but the money hasn't come back.
    Has my refund been processed yet?
    My bank says no refund from you is pending.
    I sent the {product} back and you still owe me {amount}.
    Please check on my refund, I haven't received a cent.
    refund not received for order {order}
    I was promised my money back {days} days ago.
    The return was delivered to you on {weekday}, when do I get my money?
    I want to know where my {amount} refund is.
    You refunded the wrong amount, I paid {amount}.
    Still no refund! I've been very patient.
    My refund went to my old credit card, which is closed.
    I got an email that my refund was issued, but it's not in my account.
    Can you tell me when the refund for the {product} will be paid out?
    It's been a month and I'm still waiting for my money back.
    I returned two things but got refunded for only one.
    Is there a delay with refunds? Mine is overdue.
    I was told I'd be refunded within a week. Nothing so far.
    The refund for the cancelled {product} hasn't shown up on my statement.
    Will I be refunded to my card or in store credit for order {order}?
    Your colleague {name} said the refund was sent, but I don't see it.
    I'm still out of {amount} because my refund never came.
    Please refund the money for the order I cancelled in {month}.
    Refund is taking forever, please look into it.
    Could you check how far my refund for order {order} has got?
    The money for my returned {product} has not been credited.
    I haven't got my money back for the {product} that was out of stock.
    Where can I see the progress of my refund?
    My PayPal refund for {amount} is missing.
    You've had my return for {days} weeks, please issue the refund.
    I'm chasing the refund I was promised on {weekday}.
    The deposit of {amount} should have been refunded by now.
    """, """
    The return was received weeks ago.
    I'd like to know when the refund will arrive.
    I need that money back.
    My bank doesn't see any refund.
    Please check the refund for me.
    It was paid by credit card.
    You already confirmed the refund by email.
    """)
category("Billing - Double Charge", "High", "Reverse duplicate charge", """
    I was charged twice for order {order}.
    My credit card shows two charges of {amount} for one order.
    You billed me twice this month.
    There's a duplicate charge on my statement.
    I got double charged for my {product}.
    Why were there two payments taken for the same order?
    {amount} was deducted from my account two times.
    My subscription was charged twice in {month}.
    I see the same transaction twice on my bank statement.
    You've taken payment twice for a single {product}.
    I only placed one order but I've been billed for two.
    Please reverse the second charge of {amount}.
    charged 2x for the same thing
    My card was hit twice on {weekday} by your store.
    I've been overcharged: the same {amount} payment appears twice.
    Two identical payments left my account for order {order}.
    The checkout glitched and charged me two times.
    I clicked the button once and paid double.
    It looks like you processed my payment twice.
    I noticed a duplicate payment for the {product}.
    My bank app shows {amount} twice from your company, please fix it.
    Double billing on my account again.
    I paid with PayPal and by card for the same order by mistake, so it was charged twice.
    I've been charged double for my membership.
    You charged my card twice within a minute.
    Why is the {amount} payment listed twice on my card?
    One {product}, two charges. What happened?
    The payment for order {order} was taken twice, I want one of them back.
    I'm being billed two times every month.
    You debited me twice, please cancel one of the charges.
    My statement lists two charges from you on {weekday}, but I bought just one {product}.
    The invoice says {amount}, but you took that amount twice.
    An extra charge identical to the first one showed up today.
    Please look into a duplicate transaction of {amount}.
    I was charged again for an order I already paid for.
    My husband noticed we were charged twice for the {product}.
    You've double-charged me for shipping on order {order}.
    Same order, same day, two payments. Please explain.
    I have been billed in duplicate for {month}.
    I think there's a mistake, my account was debited twice.
    The annual fee was collected twice.
    There are two pending charges for one purchase on my card.
    """, """
    I only ordered once.
    One of the charges has to go.
    Please cancel the second charge.
    Both charges are from the same day.
    I can send you my bank statement.
    I shouldn't have to pay twice.
    The second charge is a mistake.
    """)
category("Product - Question", "Low", "Send product information", """
    Is the {product} available in black?
    What are the dimensions of the {product}?
    Does the {gadget} work with my {device}?
    Can you tell me what material the {product} is made of?
    When will the {product} be back in stock?
    How long is the warranty on the {product}?
    Is the {product} waterproof or only water resistant?
    What's the difference between the {gadget} and the pro version?
    How much does the {product} weigh?
    Does the {gadget} come with batteries?
    Do you sell the {product} in a bigger size?
    What's the battery life of the {smart}?
    Is the board game suitable for a ten year old?
    Can the duvet cover be machine washed?
    I'm thinking about buying the {product}, does it come in other colours?
    does the {smart} support 5 GHz wifi?
    Which size winter jacket should I get if I'm between medium and large?
    Are spare parts available for the {product}?
    Is the handbag made of vegan leather?
    Before I order, could you tell me whether the tablet has a headphone jack?
    What accessories are included with the {gadget}?
    Where is the {product} manufactured?
    Is the blender loud? I have a small baby.
    Would the {product} fit in a carry-on bag?
    I'd like more information about the {product} before I buy it.
    Can I use the {gadget} outdoors?
    How many colours does the {product} come in?
    Does the {product} have a money-back guarantee?
    What voltage does the {gadget} use?
    Do you have the {product} in your {city} store?
    I can't decide between two versions of the {product}, which one do you recommend?
    Is the {product} made from recycled materials?
    What is the maximum weight the bookshelf can hold?
    Will there be a new model of the {gadget} this year?
    How do I choose the right size for a bike helmet?
    Is the cutting board dishwasher safe?
    Are there any discounts on the {product} for students?
    Does the rice cooker have a timer?
    Could you send me the specifications of the {gadget}?
    How tall is the {product}?
    Is the face cream good for sensitive skin?
    What is the price of the {product} if I buy ten?
    """, """
    The product page doesn't say.
    I'd like to know before I buy it.
    I'm interested in buying one.
    I read the description but couldn't find it.
    It would be for my {city} apartment.
    If so, I'll order one.
    It would be a present for my sister.
    """)
category("Product - Return", "Medium", "Send return label", """
    I'd like to return my {product}.
    How do I send back the sweater? It doesn't fit.
    Can I return order {order} even though I opened the box?
    I need a return label for the {product}.
    The {product} is too big for me, I want to return it.
    I changed my mind about the {product} and would like to send it back.
    What are your terms for returning a {product}?
    What's the time limit for returning the {product}?
    Please send me a return label, I don't need the {product} any more.
    I don't like the colour of the {product}, can I return it?
    Where do I send returns?
    I bought the same {product} twice by accident and want to return one.
    The {product} isn't for me. How does returning work?
    I want to send order {order} back.
    Is return shipping free?
    return label please for order {order}
    I got the {product} as a gift but already own one. Can I return it?
    The hair dryer is too loud for my taste, I'd like to send it back.
    Could you start a return for my {product}?
    My mattress is uncomfortable, so I'd like to give it back.
    Can I exchange the summer dress for a smaller one?
    I can't print the return label, can you send it in the mail?
    I need to return an item from order {order}.
    The rug doesn't match my furniture, what's the return process?
    Can I take my return to the shop in {city}?
    I ordered the wrong size by mistake and want to return the belt.
    Who pays for the postage if I return the {product}?
    I'm not happy with the quality of the {product} and want to return it.
    Can you arrange a pickup for my return?
    The {product} is nice but too heavy for me, may I send it back?
    Is the {product} still returnable after {days} weeks?
    I'd like to return everything in order {order}.
    Please let me know how to return an unopened {product}.
    The return label you sent has the wrong name, can I get a new one?
    My {product} looks different than I imagined, I'd like to return it.
    Do I need the original box to return the {product}?
    I tried the {product} for a week and it's not what I need, so I'm returning it.
    I want to exchange my shirt for the larger size.
    What's the deadline for sending back my {product}?
    How do I return only part of my order?
    My kid doesn't like the {product}. How can we return it?
    Can I drop off my return at any post office?
    """, """
    It's unused and still in the box.
    I still have the receipt.
    I'd rather not pay for the return.
    Please send the return label by email.
    I'm within the 30 days.
    The tags are still on.
    How do I send it back?
    """)
category("Feedback - Feature Request", "Low", "Forward to product team", """
    It would be great if you added a dark mode.
    Could you add an option to save items for later?
    I'd love to see a wish list feature.
    Feature request: let us sort reviews by date.
    Please consider adding support for multiple languages.
    Have you thought about offering a gift wrap option?
    It'd be really useful to export my orders to Excel.
    My suggestion: a reminder when my favourite products are on sale.
    You should add Apple Pay as a payment option.
    I wish the app had a widget.
    Can you make a version for tablets?
    I have an idea: let customers choose their delivery time.
    Would love a keyboard shortcut for searching.
    Any plans to add a family account feature?
    please add a dark theme
    I suggest adding a comparison table for products.
    It would help a lot if I could use the app offline.
    Could you add a feature to share carts with friends?
    I'd like to request an integration with my calendar.
    Why not add a loyalty program? I'd use it.
    It would be nice to have bigger fonts in the app, please add a setting.
    Suggestion: add a filter for vegan products.
    I miss an undo button, can you build one?
    Please bring back the old list view as an option.
    Could we get a setting to turn off sounds?
    A chat function on the website would be a nice addition.
    Can you add more payment methods in the future?
    Adding a barcode scanner to the app would be fantastic.
    My feature wish: schedule orders ahead of time.
    It would be awesome if the app worked on my watch.
    Would you consider adding a night mode to the website?
    I think you should let users create several shopping lists.
    Idea for improvement: show the stock of each store on the map.
    Please let us rename our devices in the app, that would be a great feature.
    I'd really like the option to donate my points to charity.
    Can you add voice control someday?
    You could improve the site by adding a size guide to every product.
    I would find it helpful if you added monthly spending reports.
    Do you plan to support Linux? I'd like to suggest it.
    How about a button to reorder my last purchase?
    I would like to propose a new feature, a shared calendar for teams.
    An option to add notes to my orders would be very welcome.
    """, """
    Just a suggestion.
    Many other shops have this feature.
    I'd use it every day.
    I think lots of customers would like that feature.
    Please pass the idea on.
    It would make the app even better.
    Hope you will consider it.
    """)
category("Feedback - Compliment", "Low", "Thank the customer", """
    Just wanted to say thank you for the great service!
    {name} from your support team was amazing.
    I love my new {product}, it's perfect!
    Best customer service I've ever had.
    You guys are awesome, my {product} arrived in one day.
    Thanks a lot for solving my problem so quickly.
    I'm really happy with the {product}, great quality.
    Please thank {name} for being so patient with me.
    What a wonderful shop, I'll definitely order again.
    Five stars! The {product} exceeded my expectations.
    The delivery driver was so friendly, please pass on my thanks.
    I've been a customer for years and you never disappoint.
    Wow, that was fast. Thank you so much!
    The {product} is beautiful, my sister was thrilled.
    Kudos to your team for the excellent support.
    thank you all, you really made my day
    Great job on the new website, it looks fantastic.
    I'm impressed by how well the {product} was packed.
    No complaints, only praise: the {product} is excellent.
    I appreciate your help with my order, it was brilliant.
    Your app is a joy to use, well done.
    My {gadget} works like a charm, I'm delighted.
    I want to compliment {name} on the outstanding service.
    Superb quality and lovely packaging, thank you.
    Everything was perfect from start to finish.
    I told all my friends how good your {product} is.
    You have a customer for life, thanks for everything.
    The handwritten note in my parcel made me smile, thank you!
    So pleased with my purchase, keep it up!
    Thank you for going above and beyond with order {order}.
    Your support chat was quick, kind and helpful. Thank you!
    I can't believe how good the {product} is for the price.
    A big thank you to everyone in your {city} store.
    Really satisfied with how you handled my request.
    My kids adore the {product}, thanks!
    Fantastic experience, I would recommend you to anyone.
    I rarely write reviews, but your service deserves praise.
    It's so nice to talk to a company that cares, thank you {name}.
    The coffee maker has changed my mornings, I love it.
    Lovely people, great products. Thanks again!
    I just wanted to let you know how much I enjoy my {product}.
    Hats off to your team, that was first-class help.
    """, """
    Keep up the great work!
    I'm a very happy customer.
    I'll recommend you to my friends.
    Thanks again to the whole team.
    You made my week.
    I couldn't be happier.
    Wonderful service.
    """)
