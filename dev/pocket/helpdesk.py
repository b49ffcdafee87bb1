"""Support-desk rows for the pocket model's pretraining, made from `helpdesk_topics.py`.

Each row is either `{"messages": [...]}` or `{"instruction", "input", "output"}`. No row answers in the form
`Category: ... / Priority: ... / Action: ...`: that is what fine-tuning is there to teach.
"""

import json
import random
import sys

from helpdesk_topics import TOPICS
from words import NAMES, WEEKDAYS, bank, fill

OPENINGS = bank("""
    Hello,
    Hi,
    Hi there,
    Good morning,
    Good afternoon,
    Hello support team,
    Dear support,
    Hey,
    Hi, I hope you can help.
    Hello, I have a problem.
    Hi, quick question.
    Dear Sir or Madam,
""")
CLOSINGS = bank("""
    Thanks.
    Thank you.
    Thank you for your help.
    Please help.
    Please let me know.
    Kind regards, {name}
    Best wishes, {name}
    I look forward to hearing from you.
    Can you help me?
    Please reply soon.
    Thanks in advance, {name}
    What should I do now?
""")
MOODS = {
    "bad": bank("""
        This is really frustrating.
        I am quite disappointed.
        I am not happy about this.
        I have been a customer for years and this has never happened before.
        I have already written to you twice.
        I really expected better.
        This is the second time that this happens.
        I hope that this can be solved quickly.
    """),
    "calm": bank("""
        I looked on your website, but I could not find the answer.
        No rush.
        I am new here.
        Your shop was recommended to me by a friend.
        I could not find anything about it in the help pages.
        It would be nice to hear from you this week.
    """),
}
CALM = {"address", "subscription", "setup", "invoice", "question", "feature", "return"}
GREETINGS = bank("""
    Thank you for reaching out.
    Thank you for contacting us.
    Thank you for your message.
    Thank you for getting in touch with us.
    Hello and thank you for writing to us.
    Hello, thank you for contacting our support team.
""")
ENDINGS = bank("""
    Please let us know if there is anything else we can help you with.
    If you have any other questions, please feel free to write to us again.
    Is there anything else I can help you with?
    We are always happy to help.
    Have a great day!
    Kind regards, your support team
    We appreciate your patience and your trust in us.
    Please do not hesitate to contact us again.
""")
REPLY_INSTRUCTIONS = bank("""
    Reply to this customer
    Write a polite reply to this message.
    Answer the customer's message.
    You work at the help desk of an online shop. Answer this customer.
    Respond to this support request
    Help this customer.
    Write an answer to the following email from a customer.
    Reply to this support ticket
    How would you answer this customer?
""")
CLASSIFY_INSTRUCTIONS = ["Classify this support ticket"] * 3 + bank("""
    Classify this customer message
    Classify the following support ticket.
    Sort this support ticket
    Please classify this ticket
    What kind of ticket is this?
    Which category does this support ticket belong to?
""")
GIST_INSTRUCTIONS = bank("""
    Summarize the customer's problem in one sentence.
    What is this message about?
    What does the customer want?
    Summarize this support ticket
    What is the customer's problem?
    Describe this message in one sentence.
    Write a short note about this message for a colleague.
""")
GIST_STARTS = ["The customer ", "The customer ", "In short, the customer ", "This customer "]
POLITE_STARTS = bank("""
    Hello, I hope you are well.
    Good morning, I would like to ask for your help.
    Dear support team, I am writing to you because I need some help.
    Hello, I am sorry to bother you.
""")
POLITE_ENDS = bank("""
    Could you please help me with this? Thank you very much.
    I would be very grateful for your help. Many thanks.
    Thank you very much for your time and your help.
    I would appreciate it if you could look into it. Thank you.
""")
LISTS = bank("""
    What customers write. Each customer
    Messages from a help desk. In each of them the customer
    These tickets have one topic: the customer
""")
THANKS = bank("""
    Thank you, that helps a lot.
    Great, thanks for the quick answer.
    Okay, thank you.
    Thanks, that is all I wanted to know.
    Perfect, thank you so much.
    Alright, I will do that. Thanks.
    That sounds good, thank you.
""")
GOODBYES = bank("""
    You're welcome! Have a great day.
    I'm glad that I could help. Is there anything else?
    You are very welcome. Please write to us again if you need anything.
    My pleasure. Have a nice day!
    You're welcome. Thank you for your patience.
""")
SYSTEMS = bank("""
    You are a helpful assistant.
    You are a friendly support agent of an online shop.
    You work at a help desk. Answer politely.
    You are a polite customer support assistant.
    You help customers with their orders and accounts.
""")


PARAMETERS = {
    "order_id": "Number of the order",
    "email": "Email address of the account",
    "product": "Name of the product",
    "city": "Name of a city",
    "plan": "Name of the plan",
}
PLANS = ["basic", "standard", "premium", "family", "business"]
FUNCTIONS = {  # description, parameters, what the customer says, what the desk answers, what comes back
    "track_order": (
        "Find out where an order is", ["order_id"],
        ["Where is my order {order}?", "Can you track order {order} for me?", "What is the status of order {order}?",
         "When will order {order} be delivered?", "Please check where my package {order} is."],
        ["Your order {order} is {status}. It should arrive on {expected}.",
         "I have checked order {order}: it is {status}, and it should be with you on {expected}."],
        [{"status": "on its way", "expected": "{weekday}"}, {"status": "out for delivery", "expected": "{weekday}"},
         {"status": "delayed", "expected": "{weekday}"}, {"status": "in our warehouse", "expected": "{weekday}"}]),
    "send_invoice": (
        "Send the invoice of an order by email", ["order_id"],
        ["Please send me the invoice for order {order}.", "I need the receipt for order {order}.",
         "Could you email me the bill for {order}?"],
        ["I have sent the invoice for order {order} to your email address.",
         "The invoice for order {order} is on its way to your inbox."],
        [{"sent": "yes"}, {"sent": "yes", "file": "invoice.pdf"}]),
    "refund_status": (
        "Find out how far the refund of an order is", ["order_id"],
        ["Where is the refund for order {order}?", "Has my money for order {order} been sent?",
         "I am waiting for the refund of {order}."],
        ["The refund for order {order} is {state}. Please allow {days} days for your bank.",
         "I have looked at the refund for order {order}, and it is {state}."],
        [{"state": "approved"}, {"state": "sent to your bank"}, {"state": "being checked"}]),
    "reset_password": (
        "Send a link for a new password", ["email"],
        ["I forgot my password, my email is {email}.", "Please reset the password of {email}.",
         "I cannot sign in with {email}, I need a new password."],
        ["I have sent a link for a new password to {email}.",
         "Please look at your inbox, the link for a new password was sent to {email}."],
        [{"sent": "yes"}, {"sent": "yes", "valid": "one hour"}]),
    "check_stock": (
        "Find out whether a product is in stock", ["product"],
        ["Do you have the {product} in stock?", "Is the {product} available?", "Can I still buy the {product}?"],
        ["The {product} is {stock}.", "Thank you for asking. The {product} is {stock} at the moment."],
        [{"stock": "in stock"}, {"stock": "sold out"}, {"stock": "available in blue and black"}]),
    "change_plan": (
        "Change the subscription plan of an account", ["email", "plan"],
        ["Please move {email} to the {plan} plan.", "I would like the {plan} plan, my account is {email}.",
         "Change my subscription to {plan}. My email is {email}."],
        ["Your account {email} is now on the {plan} plan.", "Done, the {plan} plan starts on the next billing date."],
        [{"changed": "yes"}]),
    "get_weather": (
        "Get the weather in a city", ["city"],
        ["What is the weather in {city}?", "Is it raining in {city}?", "Tell me the weather in {city}, please.",
         "How warm is it in {city} today?"],
        ["It is {sky} in {city}, and it has {degrees} degrees.", "In {city} it is {sky} at {degrees} degrees."],
        [{"sky": "sunny", "degrees": "24"}, {"sky": "raining", "degrees": "12"}, {"sky": "cloudy", "degrees": "17"},
         {"sky": "snowing", "degrees": "0"}]),
}


def function(name: str) -> dict:
    description, parameters, *_ = FUNCTIONS[name]
    properties = {key: {"type": "string", "description": PARAMETERS[key]} for key in parameters}
    schema = {"type": "object", "properties": properties, "required": parameters}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def argument(key: str, slots: dict) -> str:
    """What the customer said for a parameter."""
    if key == "order_id":
        return slots["order"].lstrip("#")
    return slots[key]


def sentence_case(text: str) -> str:
    return text[0].upper() + text[1:]


class Desk:
    """Draws rows; everything comes from one seeded source."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def customer(self, topic: str, slots: dict) -> str:
        """A customer's message: the problem, sometimes a greeting, a remark and a closing around it."""
        r = self.random
        parts = [r.choice(TOPICS[topic]["says"])]
        if r.random() < 0.18:
            other = r.choice(TOPICS[topic]["says"])
            if other != parts[0]:
                parts.append(other)
        if r.random() < 0.4:
            parts.insert(0, r.choice(OPENINGS))
        if topic != "praise" and r.random() < 0.25:
            parts.append(r.choice(MOODS["calm" if topic in CALM else "bad"]))
        if r.random() < 0.2:
            parts.append(r.choice(["My order number is {order}.", "The order was {order}.", "Order {order}."]))
        if topic != "praise" and r.random() < 0.4:
            parts.append(r.choice(CLOSINGS))
        text = fill(" ".join(parts), r, slots)
        if r.random() < 0.12:
            text = text.lower()
        return text

    def reply(self, topic: str, slots: dict, long: bool = True) -> str:
        """A polite answer that names the topic and says what happens next."""
        r = self.random
        bank_of = TOPICS[topic]
        parts = [r.choice(bank_of["sorry"])]
        if long or r.random() < 0.4:
            parts.insert(0, r.choice(GREETINGS))
            if parts[1].startswith("Thank you") and r.random() < 0.8:
                parts.pop(0)
        if r.random() < 0.25:
            parts.append(fill("I understand that " + self.gist_you(topic), r, slots))
        steps = r.sample(bank_of["steps"], 2 if long and r.random() < 0.4 else 1)
        if r.random() < 0.6:
            parts += steps + [r.choice(bank_of["ask"])]
        else:
            parts += [r.choice(bank_of["ask"])] + steps
        if long or r.random() < 0.3:
            parts.append(r.choice(bank_of["tip"]))
        if long or r.random() < 0.5:
            parts.append(r.choice(ENDINGS))
        return fill(" ".join(parts), r, slots)

    def gist_you(self, topic: str) -> str:
        return {
            "damaged": "your {product} arrived damaged.",
            "late": "your delivery is late.",
            "lost": "your package is lost.",
            "wrong": "you received the wrong item.",
            "address": "you would like to change the delivery address.",
            "subscription": "you would like to change your subscription plan.",
            "login": "you cannot log in.",
            "cancel": "you want to cancel your account.",
            "bug": "the app crashes on your device.",
            "checkout": "there was an error at the checkout.",
            "setup": "you need help with the setup.",
            "invoice": "you need an invoice.",
            "refund": "you are waiting for a refund.",
            "double": "you were charged twice.",
            "question": "you have a question about a product.",
            "feature": "you have an idea for a new feature.",
            "praise": "you are happy with our service.",
            "return": "you would like to return an item.",
        }[topic]

    def gist(self, topic: str) -> str:
        r = self.random
        text = r.choice(GIST_STARTS) + r.choice(TOPICS[topic]["gist"]) + "."
        if r.random() < 0.3:
            text += " " + r.choice(["The desk should answer: ", "A good answer would be: ", "Next step: "])
            text += r.choice(TOPICS[topic]["steps"])
        return text

    def call(self) -> dict:
        """A conversation in which the desk calls a function of the shop, or is offered one that it does not need."""
        r = self.random
        slots: dict = {}
        name = r.choice(list(FUNCTIONS))
        names = [name] + [other for other in r.sample(list(FUNCTIONS), r.randint(0, 2)) if other != name]
        r.shuffle(names)
        tools = [function(one) for one in names]
        if r.random() < 0.2:
            topic = r.choice(["praise", "feature", "question", "setup"])
            messages = [
                {"role": "user", "content": self.customer(topic, slots)},
                {"role": "assistant", "content": self.reply(topic, slots, False)},
            ]
            return {"messages": messages, "tools": tools}
        _, parameters, says, answer, results = FUNCTIONS[name]
        slots["plan"] = r.choice(PLANS)
        slots["email"] = f"{r.choice(NAMES).lower()}{r.randint(1, 99)}@{r.choice(['mail', 'post', 'example'])}.com"
        said = fill(r.choice(says), r, slots)
        if r.random() < 0.3:
            said = r.choice(OPENINGS) + " " + said
        made = {"function": {"name": name, "arguments": {key: argument(key, slots) for key in parameters}}}
        result = {key: fill(value, r, slots) for key, value in r.choice(results).items()}
        slots.update(result)
        messages = [
            {"role": "user", "content": said},
            {"role": "assistant", "content": "", "tool_calls": [made]},
            {"role": "tool", "content": json.dumps(result)},
            {"role": "assistant", "content": fill(r.choice(answer), r, slots)},
        ]
        return {"messages": messages, "tools": tools}

    def row(self) -> dict:
        """One row of a kind drawn at random."""
        r = self.random
        topic = r.choice(list(TOPICS))
        slots: dict = {}
        kind = r.choices(
            ["chat", "reply", "classify", "gist", "polite", "order", "write", "thread", "same", "call"],
            [24, 17, 14, 17, 4, 5, 5, 5, 7, 6])[0]
        said = self.customer(topic, slots)
        if kind == "chat":
            messages = [{"role": "system", "content": r.choice(SYSTEMS)}] if r.random() < 0.3 else []
            if r.random() < 0.12:
                said = "Classify this support ticket: " + said
            messages += [
                {"role": "user", "content": said},
                {"role": "assistant", "content": self.reply(topic, slots, r.random() < 0.5)},
            ]
            if r.random() < 0.35:
                messages += [
                    {"role": "user", "content": r.choice(THANKS)},
                    {"role": "assistant", "content": r.choice(GOODBYES)},
                ]
            return {"messages": messages}
        if kind == "reply":
            return row(r.choice(REPLY_INSTRUCTIONS), said, self.reply(topic, slots, r.random() < 0.6))
        if kind == "classify":
            return row(r.choice(CLASSIFY_INSTRUCTIONS), said, self.reply(topic, slots))
        if kind == "gist":
            return row(r.choice(GIST_INSTRUCTIONS), said, fill(self.gist(topic), r, slots))
        if kind == "polite":
            plain = fill(r.choice(TOPICS[topic]["says"]), r, slots)
            polite = " ".join([r.choice(POLITE_STARTS), plain, r.choice(POLITE_ENDS)])
            return row(r.choice(["Make this message more polite.", "Rewrite this message politely.",
                                 "Rewrite the message in a friendly tone."]), plain, polite)
        if kind == "order":
            if "order" in slots:
                answer = r.choice(["The order number is {order}.", "{order}", "Order number: {order}"])
            else:
                answer = r.choice(["The message does not give an order number.", "There is no order number."])
            return row(r.choice(["What is the order number in this message?", "Find the order number.",
                                 "Extract the order number from the message."]), said, fill(answer, r, slots))
        if kind == "write":
            who = fill(r.choice(TOPICS[topic]["gist"]), r, slots)
            return row(r.choice(["Write a message from a customer who {}.",
                                 "Write a short support ticket. The customer {}.",
                                 "Imagine a customer who {}. What would the customer write?"]).format(who), "", said)
        if kind == "call":
            return self.call()
        if kind == "same":
            others = [fill(text, r, {}) for text in r.sample(TOPICS[topic]["says"], r.randint(4, 7))]
            who = r.choice(TOPICS[topic]["gist"])
            return {"text": f"{r.choice(LISTS)} {who}:\n" + "".join(f"- {o}\n" for o in others)}
        name = r.choice(NAMES)
        text = f"From: {name}\nSubject: {sentence_case(r.choice(TOPICS[topic]['gist']))}\n\n{said}\n\n"
        text += f"Re: {name}, {r.choice(WEEKDAYS)}\n\nDear {name},\n\n{self.reply(topic, slots)}\n"
        return {"text": fill(text, r, slots)}


def row(instruction: str, given: str, output: str) -> dict:
    return {"instruction": instruction, "input": given, "output": output}


def rows(count: int, seed: int) -> list[dict]:
    """`count` different rows."""
    desk = Desk(seed)
    seen: set[str] = set()
    result: list[dict] = []
    while len(result) < count:
        candidate = desk.row()
        key = json.dumps(candidate, sort_keys=True)
        if key not in seen:
            seen.add(key)
            result.append(candidate)
    return result


if __name__ == "__main__":
    for one in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 20, 7):
        print(json.dumps(one, ensure_ascii=False))
