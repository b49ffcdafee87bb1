"""What customers write to a shop's help desk and how the desk answers, by topic.

`says` customer sentences, `gist` the problem in the third person (continues "the customer ..."), `sorry` first sentence of
a reply, `steps` what the desk does, `ask` what it still needs, `tip` a closing remark. Written for the pocket model's
pretraining; the tickets of `tickets.py` are worded apart from these.
"""

from words import bank

TOPICS: dict[str, dict[str, list[str]]] = {}


def topic(name: str, **parts: str) -> None:
    TOPICS[name] = {part: bank(text) for part, text in parts.items()}


topic(
    "damaged",
    says="""
    The {product} I received has a big crack across the front.
    My parcel came today and the {product} inside was smashed to pieces.
    I opened the box and found the {product} bent and scratched all over.
    One corner of the {product} is chipped and the box was crushed when it got here.
    The glass on my {product} was shattered when I unpacked it.
    The {product} from order {order} is dented and clearly was not packed well.
    The package looked fine outside, but the {product} inside is broken.
    My {product} was leaking when it came out of the box, everything is wet.
    I just unpacked my {product} and a piece has snapped off.
    The {product} arrived torn and dirty, I cannot use it like this.
    What do I do if the {product} I ordered came damaged?
    The delivery man dropped the box and now the {product} is damaged.
    The {product} has a hole in it and the seal was already broken.
    Half of the parts of my {product} are cracked. It must have been damaged in transit.
    The screen of my {gadget} was cracked right out of the box.
    Your courier handled my parcel badly, the {product} has a bent frame.
    I want a new {product}, this one came with a broken handle.
    There are deep scratches on the {product} that I got today.
    Water got into the parcel and my {product} is ruined.
    The lid is broken, and there are splinters of glass in the package.
    My gift arrived in pieces, which is very embarrassing.
    The {gadget} does not turn on and the case is smashed.
    Both the box and the {product} were ripped open on arrival.
    The item was defective when I opened it, a part is broken off.
    """,
    gist="""
    received a damaged item
    reports that the item arrived broken
    says the product was damaged during shipping
    got a parcel with a broken product and would like a replacement
    """,
    sorry="""
    I'm so sorry to hear that your item arrived damaged.
    I apologize that your {product} was broken when it reached you.
    Thank you for letting us know about the damaged product.
    That is certainly not the condition your order should have arrived in, and I'm sorry about the damage.
    I'm sorry that your parcel was damaged on the way to you.
    """,
    steps="""
    We will send you a replacement free of charge, and you do not need to return the broken one.
    I have arranged a replacement, which will leave our warehouse tomorrow.
    We will replace the damaged item as quickly as we can.
    Our team will start a replacement as soon as we have seen the damage.
    We can either replace the broken item or give you your money back, whichever you prefer.
    """,
    ask="""
    Could you please send us a photo of the damage and of the box?
    May I ask for your order number and a picture of the broken part?
    Please keep the packaging until the replacement has arrived.
    """,
    tip="""
    We will also speak with our packing team so that this does not happen again.
    The carrier will be told about the damage as well.
    We take great care with fragile items, and we are sorry that it was not enough this time.
    """,
)
topic(
    "late",
    says="""
    My {product} was supposed to be here on {weekday} and it still has not come.
    I have been waiting for order {order} for {days} weeks, what is taking so long?
    The delivery date has passed and there is no sign of my {product}.
    When is my {product} going to get here? It is already {days} days late.
    The website promised delivery in {days} days, but I am still waiting.
    My order is delayed again, can you tell me the new delivery date?
    Tracking says my package is on its way, but it has not moved since {weekday}.
    I paid for express delivery and the {product} is still not here.
    Is there any news about order {order}? It should have arrived last {weekday}.
    The delivery of my {product} keeps getting pushed back.
    I need the {product} by {weekday}, and it is running late.
    Why is my order taking this long to be delivered?
    It has been more than a week and my parcel is still in transit.
    My package is overdue, how much longer do I have to wait?
    Still no delivery after {days} days, although you said next day shipping.
    How much longer will my shipment take?
    My order was due on {weekday}. Where is it now?
    Shipping is taking forever, I ordered in {month}.
    I was told the courier would come on {weekday}, but nobody came.
    The status of order {order} has said shipped for {days} weeks.
    It is a birthday present and the birthday is on {weekday}, so please hurry up.
    The parcel was meant to come yesterday, has it been held up?
    Your estimated arrival date has changed {days} times already.
    My package is stuck at the depot in {city}.
    """,
    gist="""
    is waiting for a delivery that is late
    says the order has not arrived on time
    wants to know when a delayed parcel will arrive
    is asking about a late delivery
    """,
    sorry="""
    I'm sorry that your delivery is late.
    I apologize for the delay with your order.
    Thank you for your patience while you wait for your late parcel.
    I understand how frustrating it is when a delivery does not arrive on time.
    I'm sorry that your {product} has not reached you by the promised date.
    """,
    steps="""
    I have checked the tracking, and your parcel is still on its way to you.
    We will check with the carrier and send you an update with a new delivery date.
    The carrier tells us that there is a delay in their depot and that your parcel should arrive soon.
    I will follow the shipment and write to you as soon as it moves.
    We will refund the express delivery fee because the parcel came too late.
    """,
    ask="""
    Could you please tell me your order number so that I can look at the tracking?
    May I have the tracking number of the parcel?
    Please check that the delivery address in your order is correct.
    """,
    tip="""
    You can follow your parcel at any time with the tracking link in your email.
    Deliveries can take a little longer in busy weeks.
    Thank you again for waiting.
    """,
)
topic(
    "lost",
    says="""
    The tracking page says my parcel was delivered, but I never got it.
    I think my {product} has gone missing in the mail.
    The carrier says they cannot find my package anywhere.
    My order {order} was marked as delivered and nothing is here, not even with the neighbours.
    It seems that somebody stole the package from my porch.
    My parcel disappeared after it left {city}.
    The driver says he left the {product} at my door, but there was nothing there.
    I believe my shipment is lost, there has been no scan for {days} weeks.
    The post office told me that my parcel was lost.
    Your courier delivered my {product} to someone else and now it is gone.
    I never received the {product} and the carrier has no idea where it is.
    My package vanished somewhere between {city} and here.
    Order {order} never showed up, although it says delivered.
    The parcel service admits that my package got lost.
    Nobody has seen my parcel since it was scanned in {city}.
    Your website claims I signed for the {product}, but I was not at home and nothing was left.
    The mailbox is empty, although I got a message that the package was dropped off.
    Can you trace a package that never arrived?
    My {product} is nowhere to be found and the tracking number no longer works.
    Someone must have taken the parcel, there is only an empty porch.
    The courier lost my order, and I would like you to find it or send it again.
    The photo of the delivery shows a door that is not mine.
    It says delivered to reception, but our reception has no parcel.
    """,
    gist="""
    never received a parcel that seems to be lost
    says the package is missing although it is marked as delivered
    believes the shipment was lost
    is missing a package that the carrier cannot find
    """,
    sorry="""
    I'm very sorry that your parcel seems to be lost.
    I'm sorry to hear that your package has gone missing.
    Thank you for telling us that you never received your order.
    It must be worrying when a parcel is marked as delivered and is nowhere to be found.
    I apologize that the carrier has lost your {product}.
    """,
    steps="""
    We will open an investigation with the carrier to find the missing parcel.
    I have asked the carrier to search for the lost package, which usually takes two working days.
    If the lost parcel is not found, we will send you a new one at no cost.
    We have started a search for the missing package with the carrier.
    The carrier will ask the driver where the package was left.
    """,
    ask="""
    Could you please check with your neighbours and your front desk?
    May I ask you to confirm the delivery address and the tracking number?
    Please tell us whether a note was left at your door.
    """,
    tip="""
    You will not lose any money because of a missing parcel.
    We will keep you informed about the investigation.
    Lost parcels are rare, and most of them are found within a few days.
    """,
)
topic(
    "wrong",
    says="""
    I ordered a {product}, but I was sent something completely different.
    You sent me the wrong colour, I asked for blue and got red.
    The {product} in the box is not the one I chose on the website.
    I got somebody else's order in my parcel.
    The size is wrong, I ordered a medium and this is an extra large.
    My order {order} should have been a {product}, this is not what I bought.
    There was a different model in the box than the one on the invoice.
    You have mixed up my order with another customer's.
    I received the wrong {product}, please send me the right one.
    The label says {product}, but inside there is something else.
    I asked for the black one and received a white one.
    This is not the item I ordered at all.
    The parcel had my name on it, but the {product} belongs to another person.
    I got two of the same thing instead of one {product} and one {gadget}.
    You shipped a {gadget} and my order was for a {product}.
    This is a child's size, I ordered for adults.
    Your warehouse packed the wrong version of the {product}.
    I opened the parcel and found a {product} that I never ordered.
    The colour is green instead of grey.
    Wrong product delivered, please exchange it.
    My invoice says {product}, but I am holding a {gadget}.
    I did not order this, please send what I paid for.
    """,
    gist="""
    received the wrong item
    got a different product from the one in the order
    was sent the wrong size or colour
    says that the order was mixed up
    """,
    sorry="""
    I'm sorry that we sent you the wrong item.
    I apologize for the mix-up with your order.
    Thank you for telling us that you received a different product.
    It seems that our warehouse picked the wrong product, and I'm sorry about that.
    I'm sorry that the item in the box is not the one that you ordered.
    """,
    steps="""
    We will send the correct item today, together with a label to return the wrong one.
    I have asked our warehouse to ship the right {product} to you.
    You will receive the correct item within three days, and we will pick up the wrong one.
    We will exchange the wrong item free of charge.
    Please use the return label in your email to send the wrong item back.
    """,
    ask="""
    Could you please send us a photo of the item and the label on the box?
    May I have your order number and the size or colour that you wanted?
    Please do not use the wrong item until we have exchanged it.
    """,
    tip="""
    We will check how the two orders were mixed up.
    Thank you for your help in putting this right.
    You will not have to pay anything for the exchange.
    """,
)
topic(
    "address",
    says="""
    I typed the wrong street in my order, can you fix the delivery address?
    I am moving to {city} next week, please send my {product} to the new address.
    Can I still change where my package will be delivered?
    I forgot to add my apartment number to the shipping address.
    Order {order} is going to my old address, please correct it.
    Please deliver the {product} to my office and not to my home.
    My postcode in the order is wrong.
    How can I update the shipping address before the parcel leaves?
    I would like to have the parcel sent to my sister in {city} instead.
    The house number on my order is not correct.
    Is it possible to send order {order} to a different address?
    I made a mistake in the delivery address when I placed the order.
    The shipping address on order {order} has a spelling mistake.
    I have moved, and my order is still set to the old flat.
    Please change the recipient and street for my delivery.
    Could the driver bring the parcel to my neighbour's address?
    I entered the billing address as the delivery address by accident.
    My zip code is missing a number, can you add it?
    I will be at my parents' house in {city}, so please redirect the package there.
    Where can I edit the address of an order that I have already placed?
    Please send it to a pickup point instead of my home.
    The apartment number is wrong on my shipment.
    """,
    gist="""
    wants to change the delivery address
    gave a wrong shipping address with the order
    would like the parcel to go to another address
    asks for a correction of the delivery address
    """,
    sorry="""
    Thank you for telling us about the change of your delivery address.
    I can help you with the new shipping address.
    No problem, we can still correct the address of your order.
    I see that you would like your parcel to go to a different address.
    Thank you for catching the mistake in your delivery address.
    """,
    steps="""
    I have updated the delivery address of your order.
    We will change the shipping address before the parcel leaves our warehouse.
    If the parcel has already left, we will ask the carrier to deliver it to the new address.
    The new address has been saved, and your parcel will be sent there.
    You can also change the address in your account under delivery details.
    """,
    ask="""
    Could you please send me the full new address with the postcode?
    May I have your order number and the correct address?
    Please confirm the street, the house number and the city.
    """,
    tip="""
    You will receive an email with the new delivery details.
    Please also update the address in your account for the next order.
    There is no charge for a change of address.
    """,
)
topic(
    "subscription",
    says="""
    I want to move from the monthly plan to the yearly one.
    How can I upgrade my membership to premium?
    Please downgrade my plan to the basic one.
    What happens to my subscription if I switch to the family plan?
    I would like to pause my subscription for {days} months.
    Can I change the plan that I pay for?
    I need to add one more person to my plan.
    Where do I find the settings for my subscription plan?
    Is it possible to go from the premium plan to the standard plan?
    I am paying for the business plan and only need the personal one.
    Which steps do I take to upgrade my plan?
    My plan renews in {month}, and I want a smaller one from then on.
    I would like the annual subscription instead of the monthly one.
    Please move me to the cheaper plan.
    Which plan includes more storage, and how do I get it?
    Can I put my membership on hold while I am away?
    How do I add my partner to our family plan?
    I want to renew my subscription for another year.
    Please switch me from basic to plus.
    I would like fewer boxes each month, can I change my plan?
    My trial ends on {weekday}, how do I choose a plan?
    Is there a student plan that I could move to?
    """,
    gist="""
    wants to change the subscription plan
    would like to upgrade or downgrade a plan
    asks how to switch to a different subscription
    wants to pause or change a membership plan
    """,
    sorry="""
    Thank you for your question about your subscription plan.
    I'd be happy to help you change your plan.
    You can change your subscription at any time.
    I see that you would like to switch to a different plan.
    Thank you for being a subscriber.
    """,
    steps="""
    To change your plan, open your account, choose subscription and then change plan.
    I will send you the instructions for changing your plan by email.
    Your new plan will start on the next billing date.
    If you upgrade your plan today, you only pay the difference.
    You can pause your subscription in the settings for up to three months.
    """,
    ask="""
    Could you tell me which plan you would like to have?
    May I ask which plan you are on today?
    Please let me know when the new plan should begin.
    """,
    tip="""
    You can go back to your old plan whenever you like.
    All plans can be compared on our pricing page.
    You will keep all your data when you change your plan.
    """,
)
topic(
    "login",
    says="""
    My password does not work any more and I am locked out.
    I forgot my password and the reset email never comes.
    The sign in page says that my email is not known.
    I cannot sign in on my {device}, it says wrong password each time.
    My account is locked after too many attempts.
    The security code for signing in does not reach my phone.
    How do I reset my password?
    I have a new phone number and cannot get the login code.
    Every time I try to sign in I am sent back to the start page.
    I do not remember which email I used for my account.
    It will not let me in, although my password is right.
    The link to reset my password has expired.
    I am unable to log on to the website with my email and password.
    Please unlock my account.
    I changed my email and now I cannot get in.
    Two factor authentication is not working for my account.
    It says that my username or password is incorrect.
    I keep getting logged out of my account.
    I lost my phone and cannot pass the verification step.
    My login stopped working on {weekday}.
    I need a new password for my profile.
    I am stuck on the sign in screen and the captcha never ends.
    """,
    gist="""
    cannot sign in to the account
    is locked out and needs a new password
    has trouble with the login
    does not receive the code or link to sign in
    """,
    sorry="""
    I'm sorry that you are having trouble signing in.
    I understand that you cannot get into your account.
    Thank you for telling us about the problem with your login.
    Being locked out of your account is frustrating, and I'm sorry about it.
    I can help you with your password right away.
    """,
    steps="""
    I have sent you a link with which you can reset your password.
    Your account has been unlocked, so please try to sign in again in ten minutes.
    Please choose forgot password on the login page, and follow the link in the email.
    We will send you a new sign in code.
    You can then choose a new password and sign in.
    """,
    ask="""
    Could you please tell me the email address of your account?
    Please also look in your spam folder for the reset email.
    May I ask which message you see when you try to sign in?
    """,
    tip="""
    For your safety, please never share your password with anyone.
    The reset link works for one hour.
    A long password that you use nowhere else keeps your account safe.
    """,
)
topic(
    "cancel",
    says="""
    Please close my account, I do not need it any more.
    I would like you to delete my account and all of my data.
    How do I end my membership?
    I no longer want to be a customer, please remove my account.
    I have decided to leave, close everything down please.
    Where can I delete my profile for good?
    Please stop my membership at the end of {month}.
    I found a cheaper service and want to cancel with you.
    I want my account gone by {weekday}.
    Please terminate my contract and confirm it by email.
    I do not use your service any longer and wish to cancel.
    Can you deactivate my account for me?
    Kindly cancel my membership as of today.
    I do not want to renew, please end my contract.
    Please erase my profile and unsubscribe me from everything.
    I would like to quit your service.
    How can I leave and have my account deleted?
    I am closing all of my online accounts, yours too.
    Please cancel everything, I am moving abroad.
    Your service is too expensive for me now, so please close the account.
    What is the notice period for ending my membership?
    I asked to cancel in {month}, why is my account still open?
    """,
    gist="""
    wants to cancel the account
    asks us to close and delete the account
    would like to end the membership
    has decided to leave and cancel
    """,
    sorry="""
    I'm sorry to see you go.
    I'm sorry to hear that you would like to cancel your account.
    Thank you for having been our customer, we are sad that you want to leave.
    I understand that you want to close your account.
    Before we cancel your account, I'd like to thank you for your time with us.
    """,
    steps="""
    I have passed your cancellation to the team that closes accounts.
    Your account will be closed at the end of the billing period.
    You can cancel your account in the settings, and we will delete your data within thirty days.
    Our team will contact you about the cancellation and may have an offer for you.
    You will receive an email that confirms that your account was cancelled.
    """,
    ask="""
    May I ask why you would like to cancel?
    Is there anything we could do to keep you as a customer?
    Please confirm that you would like to close the account for good.
    """,
    tip="""
    You are always welcome to come back.
    You can still use your account until it is closed.
    We would be grateful for a short word on what we could do better.
    """,
)
topic(
    "bug",
    says="""
    The app closes by itself whenever I open it on my {device}.
    After the last update the app freezes on the first screen.
    The app is very slow and often stops responding.
    I only see a white screen when I start the app.
    Your app crashes when I try to upload a picture.
    The search in the app shows nothing since yesterday.
    Notifications do not work in the app on my {device}.
    The app shows the wrong language after the update.
    The map in your app never finishes loading.
    My saved items have disappeared from the app.
    The app drains the battery of my {device} very quickly.
    The buttons in the app do not react when I tap them.
    Since the update the app shuts down after a few seconds.
    The app hangs when I scroll through my orders.
    Dark text on a dark background, I cannot read anything in your app.
    I keep getting an error message in the app when I open my profile.
    The camera does not open inside the app on my {device}.
    Pictures in the app do not load any more.
    The app will not start after I installed version {days}.
    There is a glitch in the app, the list jumps back to the top.
    Sound in the app is gone since {weekday}.
    The app on my {device} says unexpected error and quits.
    """,
    gist="""
    has a problem with the app
    says that the app crashes or freezes
    reports a bug in the app
    found an error in the app after an update
    """,
    sorry="""
    I'm sorry that the app is not working as it should.
    Thank you for reporting this problem with our app.
    I apologize for the crash of the app.
    I'm sorry that you have run into a bug.
    It is annoying when an app freezes, and I'm sorry about it.
    """,
    steps="""
    I have passed the bug to our engineers, who will look into it at once.
    Our engineering team is working on a fix for the app.
    Please install the newest version of the app and restart your {device}.
    Please remove the app and install it again, as this often helps.
    The bug will be fixed in the next update of the app.
    """,
    ask="""
    Could you tell me which version of the app you use, and on which device?
    May I ask you for a screenshot of the error in the app?
    Please tell us what you did just before the app crashed.
    """,
    tip="""
    Your data are safe, even if the app closes.
    We will write to you when the new version of the app is out.
    Reports like yours help us to find bugs.
    """,
)
topic(
    "checkout",
    says="""
    I cannot pay for my cart, the payment page only gives an error.
    When I click on pay, nothing happens.
    My card is refused at the checkout, although it works everywhere else.
    The website shows a server error when I try to place my order.
    The discount code is not accepted when I pay.
    My cart is emptied each time I go to the checkout.
    The payment page keeps loading and never finishes.
    I tried to buy a {product}, but the payment failed {days} times.
    The order button is grey and I cannot finish my purchase.
    Paying with PayPal sends me back to an empty page.
    Your site breaks at the last step of the order.
    The checkout says that my card number is not valid.
    Payment declined again and again, and my bank says that everything is fine.
    I get error 502 when I press the buy button.
    The checkout does not let me choose a delivery method.
    I cannot complete my order, the page freezes at payment.
    Your website will not take my voucher in the cart.
    Submitting the payment form gives me a blank page.
    The total in my cart turns to zero and I cannot place the order.
    I tried {days} cards, and none of them works at the checkout.
    The order page says that something went wrong, try again later.
    The confirm button on the payment screen is broken.
    """,
    gist="""
    cannot finish the checkout
    gets an error when paying on the website
    has a payment that fails at the checkout
    is unable to place an order because of an error
    """,
    sorry="""
    I'm sorry that you could not finish the checkout.
    I apologize for the error on our payment page.
    Thank you for telling us about the problem at the checkout.
    I'm sorry that your payment did not go through.
    I understand that you would like to place an order and see an error.
    """,
    steps="""
    I have told our payments team about the error at the checkout.
    Our payments team is looking into the failed payment now.
    Please clear the cache of your browser and try the checkout again.
    Please try another browser or another card for the payment.
    Your cart has been saved, so you can place the order later.
    """,
    ask="""
    Could you send us a screenshot of the error at the checkout?
    May I ask which browser and which card you used for the payment?
    Please tell us at which step of the checkout the error appears.
    """,
    tip="""
    You have not been charged for the failed payment.
    The products in your cart will be kept for two days.
    We will write to you as soon as the checkout works again.
    """,
)
topic(
    "setup",
    says="""
    I do not understand how to set up my new {gadget}.
    How do I connect the {gadget} to my wifi?
    The manual for the {gadget} is missing, how do I put it together?
    I am trying to pair the {gadget} with my {device} and it cannot be found.
    Which cable goes where on the {gadget}?
    Could someone explain how to install the {gadget}?
    I need instructions for the first use of my {gadget}.
    The setup of the {gadget} stops halfway.
    How do I turn on the {gadget} for the first time?
    I cannot get the {gadget} to connect with the app.
    Is there a guide or a video that shows how to assemble the {gadget}?
    Where do I find the manual for the {gadget}?
    My {gadget} does not show up in the list of wifi networks.
    Is there a video for the installation of the {gadget}?
    I do not know which button to press to start the {gadget}.
    The instructions are only in German, do you have them in English?
    How do I configure the {gadget} for the first time?
    What is the default password of the {gadget} for the setup?
    How do I mount the {gadget} on the wall?
    Can you walk me through the installation?
    I bought a {gadget} and need help getting started.
    Pairing the {gadget} over bluetooth fails, what are the right steps?
    """,
    gist="""
    needs help with setting up a product
    asks how to install or connect the product
    is looking for the manual or a setup guide
    has trouble with the first setup
    """,
    sorry="""
    Thank you for your question about the setup of your {gadget}.
    I'd be glad to help you set up your new {gadget}.
    Setting up a new device can be confusing at first.
    I see that you need help with the installation.
    Congratulations on your new {gadget}, let me help you with the setup.
    """,
    steps="""
    I will send you the setup guide for your {gadget} by email.
    Please plug it in, hold the power button for five seconds, and wait for the blue light.
    The setup guide shows each step with pictures.
    Turn on bluetooth on your {device}, and choose the {gadget} from the list.
    You can find the manual and a setup video on our support page.
    """,
    ask="""
    Could you tell me the model number on the back?
    May I ask at which step of the setup you are?
    Please tell me whether the light is on.
    """,
    tip="""
    The whole setup takes about ten minutes.
    If the guide does not help, we can go through the setup together on the phone.
    Most people find the video the easiest way.
    """,
)
topic(
    "invoice",
    says="""
    I need an invoice for order {order} for my accountant.
    Where can I download the receipt for my {product}?
    Please send me the bill for {month} as a PDF.
    My company name is missing on the invoice.
    Could I get a receipt with the tax number on it?
    I did not receive an invoice with my order.
    Please email me all invoices of this year.
    I need a VAT invoice for my last purchase.
    The receipt for {amount} got lost, can I have another one?
    How do I get the invoice for my {month} payment?
    The address on my invoice has to be changed for tax reasons.
    Can I have a paper receipt for the {product}?
    My accountant is asking for the bill of the {product}.
    Could you resend the invoice, I deleted the email.
    I need proof of purchase for the {product}.
    Please put our company on the receipt.
    Where do I see my past invoices?
    The invoice shows an old name, please issue a new one.
    For my tax return I need all receipts from last year.
    An invoice in my name would be helpful for the insurance.
    Can I get a detailed bill for {amount}?
    Please provide the VAT number on the invoice.
    """,
    gist="""
    would like to have an invoice
    asks for a copy of a receipt
    needs an invoice for an order
    wants the bill as a document
    """,
    sorry="""
    Thank you for your request for an invoice.
    I can send you the invoice for your order.
    Of course you can have a copy of your receipt.
    I see that you need an invoice for your records.
    I'm sorry that the invoice did not come with your order.
    """,
    steps="""
    I have sent a copy of the invoice to your email address.
    You can download all invoices and receipts in your account under orders.
    We will send you the invoice as a PDF today.
    I have added your company name and tax number to the invoice.
    The receipt will reach you by email within an hour.
    """,
    ask="""
    Could you please tell me the order number for the invoice?
    May I have the company name and tax number for the invoice?
    Please tell me for which month you need the bill.
    """,
    tip="""
    All invoices are kept in your account for ten years.
    Please look in your spam folder if the invoice does not arrive.
    Please tell us if your accountant needs anything else.
    """,
)
topic(
    "refund",
    says="""
    I sent the {product} back {days} weeks ago and have no money yet.
    Where is my refund for order {order}?
    You promised to give me my money back and nothing has happened.
    How long does a refund take to show up on my card?
    The refund of {amount} is not on my bank statement.
    I was told that I would be refunded by {weekday}.
    You only refunded a part of the {amount}.
    My return was accepted in {month}, but I am still waiting for the money.
    Can you check the status of my refund?
    I cancelled the order and have not been paid back.
    Please tell me when I will get the money for the {product} I returned.
    The refund went to a card that I no longer have.
    My bank has not received any refund from you.
    Has the money for my return been sent?
    It has been {days} weeks since you confirmed the refund.
    I am owed {amount} for a returned {product}.
    Why has the refund for my cancelled order not been paid?
    The refund is smaller than what I paid.
    When can I expect the money back on my credit card?
    You received my return on {weekday}, please pay me back.
    Please tell me how far along my refund is.
    I still have not been reimbursed for order {order}.
    """,
    gist="""
    is waiting for a refund
    asks when the money will be paid back
    has not received the refund for a return
    wants to know the status of a refund
    """,
    sorry="""
    I'm sorry that your refund has not reached you yet.
    Thank you for asking about your refund.
    I apologize that you are still waiting for your money.
    I understand that you would like to know where your refund is.
    I'm sorry for the delay with your refund.
    """,
    steps="""
    I have checked the status of your refund, and it was sent to your bank.
    Refunds take five to seven working days to appear on your card.
    We will check the refund with our finance team and write to you today.
    The refund will go back to the card that you paid with.
    Your refund has been approved, and the money is on its way.
    """,
    ask="""
    Could you please tell me the order number of the returned item?
    May I ask on which day you sent the item back?
    Please check the statement of the card that you used for the order.
    """,
    tip="""
    You will receive an email when the refund is complete.
    Some banks need a few more days for a refund.
    Thank you for your patience while the refund is on its way.
    """,
)
topic(
    "double",
    says="""
    I was charged two times for the same {product}.
    My card shows the payment of {amount} twice.
    There are two identical charges from your shop on my statement.
    I paid once, but {amount} was taken twice from my account.
    Why have you billed me double this month?
    My bank says that order {order} was charged twice.
    You have taken the money for my subscription two times in {month}.
    I see a second charge of {amount} that I did not make.
    The payment went through twice because the page was slow.
    Please return the extra payment, I was billed twice.
    I only ordered one {product}, but you charged me for two payments.
    I see the same amount two times on my credit card bill.
    The same order was billed two times.
    I see two payments on the same day for one {product}.
    Please check, I think I paid for order {order} twice.
    A duplicate payment of {amount} appeared on my card.
    You have withdrawn {amount} two times in a row.
    My subscription fee was collected twice.
    I pressed pay once and was charged twice.
    There is an extra charge from your shop for the same purchase.
    Twice the money has gone out for a single order.
    PayPal shows two transactions for order {order}.
    """,
    gist="""
    was charged twice
    sees a duplicate charge on the card
    paid two times for one order
    was billed double by mistake
    """,
    sorry="""
    I'm sorry that you were charged twice.
    I apologize for the duplicate charge on your card.
    Thank you for telling us about the double payment.
    I understand that you see the same charge two times.
    I'm sorry that the payment was taken twice.
    """,
    steps="""
    I have reversed the duplicate charge, and you will see the money in three days.
    We will return the second payment to your card at once.
    Our billing team has confirmed that you were charged twice and will reverse one charge.
    The extra charge will be cancelled today.
    You will only pay once for your order.
    """,
    ask="""
    Could you please send me the dates and the amounts of the two charges?
    May I ask for the last four digits of the card?
    Please send us a picture of the statement with both charges.
    """,
    tip="""
    Sometimes the second charge is only a reservation that disappears after a day.
    We are sorry for the worry that the double charge has caused.
    Please tell us if you do not see the money by next week.
    """,
)
topic(
    "question",
    says="""
    Does the {product} come in other colours?
    What are the measurements of the {product}?
    Is the {product} waterproof?
    Which material is the {product} made of?
    Will the {product} work in other countries?
    How heavy is the {product}?
    Do you have the {product} in stock in {city}?
    Which batteries does the {product} need?
    Is the {product} safe for children?
    When will the {product} be available again?
    What is the difference between the two {product} models?
    Can the {product} go in the dishwasher?
    Could you tell me the size of the {product} before I buy it?
    Does the {product} have a warranty?
    Is the {gadget} compatible with my {device}?
    How long does the battery of the {gadget} last?
    Can I wash the {product} in the machine?
    What comes in the box with the {product}?
    Do you sell spare parts for the {product}?
    Which {product} would you recommend for a beginner?
    Is the {product} suitable for outdoor use?
    Will you get the {product} in a larger size?
    """,
    gist="""
    has a question about a product
    would like to know more about a product before buying
    asks about the details of a product
    wants to know whether a product is available
    """,
    sorry="""
    Thank you for your interest in our {product}.
    Thank you for your question about the product.
    I'd be happy to tell you more about the {product}.
    That is a good question about the product.
    I'm glad that you like our {product}.
    """,
    steps="""
    I will send you the product information by email.
    The product page shows the size, the weight and the material.
    It is available in black, white and blue.
    The product is in stock and can be sent to you this week.
    It is made of recycled material and is easy to clean.
    """,
    ask="""
    Could you tell me which size you are thinking of?
    May I ask what you would like to use it for?
    Please tell me if you would like to know anything else about the product.
    """,
    tip="""
    You can send it back within thirty days if you do not like it.
    Many customers say that they are very happy with this product.
    You can read the reviews of other customers on the product page.
    """,
)
topic(
    "feature",
    says="""
    It would be great if the app had a dark mode.
    Please add a wish list to your website.
    I would love to be able to sort my orders by date.
    Could you offer gift wrapping in the future?
    My suggestion is to let people save several addresses.
    Have you thought about adding a calendar to the app?
    Please think about supporting more languages.
    I wish I could export my data to a spreadsheet.
    A search field in the order history would be very useful.
    It would help if I could share my list with my family.
    Can you add payment with Apple Pay to the shop?
    I have an idea for your app: a reminder for things that I buy often.
    You should let people filter the products by price.
    I would really like a tablet version of the app.
    An option to save my cart for later would be lovely.
    Could you build a widget for the home screen?
    Feature idea: show the delivery on a map.
    It would be nice to pick a delivery time.
    Please introduce a way to print the order list.
    I suggest a button that repeats my last order.
    Are there plans to add voice search?
    Would you consider a loyalty program?
    """,
    gist="""
    has a suggestion for a new feature
    would like us to add something to the app or website
    is asking for a feature
    shares an idea for an improvement
    """,
    sorry="""
    Thank you for your suggestion.
    Thank you for this wonderful idea for a new feature.
    We love to hear ideas from our customers.
    That would be a useful feature indeed.
    I appreciate that you took the time to suggest an improvement.
    """,
    steps="""
    I have passed your idea to our product team.
    Our product team reads every suggestion and chooses the most useful ones.
    I have added your vote to the list of feature requests.
    We will think about your idea for a future version.
    The product team will look at your suggestion next month.
    """,
    ask="""
    Could you tell us a little more about how you would use the feature?
    May we contact you if we have questions about your idea?
    Please tell us if you have other suggestions.
    """,
    tip="""
    We cannot promise when a new feature will be ready.
    Ideas like yours make our product better.
    You will find all new features in our newsletter.
    """,
)
topic(
    "praise",
    says="""
    I just wanted to say that your support team was wonderful.
    Thank you so much for the quick help, I am very happy.
    The {product} is even better than I expected.
    {name} from your team solved my problem in minutes, please thank them.
    Great service, I will tell all my friends about you.
    Your delivery was super fast, well done.
    This is the best shop I have ever bought from.
    I love my new {product}, thank you!
    Everything went smoothly from the order to the delivery.
    Compliments to the person who packed my parcel so nicely.
    I am really impressed with the quality of the {product}.
    Please pass my thanks on to the whole team.
    Just a short note to say how pleased I am.
    Your packaging is beautiful and everything came on time.
    Five stars from me, thank you.
    I was so happy when the {product} arrived, it is perfect.
    I appreciate how friendly {name} was on the phone.
    Keep up the good work!
    I have never had such good customer service.
    The {product} made my daughter very happy, thank you all.
    You helped me so fast, I am grateful.
    What a fantastic {product}, I could not be more satisfied.
    """,
    gist="""
    is happy and wants to thank the team
    gives us a compliment
    praises the service
    loves the product and says thank you
    """,
    sorry="""
    Thank you so much for your kind words.
    What a lovely message, thank you.
    We are so happy that you like our service.
    Thank you for your wonderful feedback.
    I'm delighted to hear that you are happy with your {product}.
    """,
    steps="""
    I will share your compliment with the whole team.
    Your message has made our day.
    I have passed your thanks on to my colleague.
    It means a lot to us when a customer takes the time to say thank you.
    We will do our best to keep it that way.
    """,
    ask="""
    Would you like to leave a review on our website?
    May we share your kind words with other customers?
    Please tell your friends about us.
    """,
    tip="""
    We look forward to your next order.
    Enjoy your new {product}!
    Thank you for being our customer.
    """,
)
topic(
    "return",
    says="""
    The {product} does not fit me and I want to send it back.
    How do I return an item that I do not like?
    I changed my mind about the {product}, can I return it?
    I need a label to send back order {order}.
    Is it still possible to return the {product} after {days} weeks?
    I bought the {product} as a gift and would like to return it.
    Where should I drop off my return?
    What are the rules for sending things back?
    The {product} is not what I imagined, I would like to give it back.
    I would like to exchange the {product} for a smaller size.
    Can I return only one of the items from order {order}?
    Do I have to pay for the return of the {product}?
    I am not satisfied with the {product} and want to return it.
    Please start a return for order {order}.
    The {product} is too small, can I send it back?
    How many days do I have to return something?
    I do not need the {product} any more, it is unopened.
    Can you email me a return label?
    I ordered two sizes and want to return one of them.
    Could a courier pick up my return?
    I would like to hand back the {product} in your shop in {city}.
    What is your return policy?
    """,
    gist="""
    wants to return an item
    asks how to send a product back
    would like a return label
    changed their mind and wants to return the order
    """,
    sorry="""
    I'm sorry that the {product} was not right for you.
    Of course you can return your item.
    Thank you for asking about a return.
    I can help you to send your item back.
    I see that you would like to return your {product}.
    """,
    steps="""
    I have sent you a return label by email.
    Please put the item in its box, add the return label, and drop it off at the post office.
    You can return items within thirty days of the delivery.
    The return is free, and you will get your money back when the item reaches us.
    We can also exchange the item for another size.
    """,
    ask="""
    Could you please tell me the order number of the item that you would like to return?
    May I ask why you would like to return it?
    Please tell me if you would prefer an exchange.
    """,
    tip="""
    Please keep the receipt of the post office.
    The item should be unused and in its original box when you return it.
    The return label is valid for two weeks.
    """,
)
