"""Small word lists that fill the slots of the sentence banks, and the filling itself."""

import random
import re


def pieces(text: str) -> list[str]:
    """The words of a list written with bars and line ends between them."""
    return [piece.strip() for piece in text.replace("\n", "|").split("|") if piece.strip()]


GADGETS = pieces("""
coffee maker|desk lamp|electric kettle|bluetooth speaker|smart watch|keyboard|gaming mouse|monitor|blender|air fryer
vacuum cleaner|fitness band|baby monitor|microphone|webcam|router|power bank|printer|space heater|humidifier
electric toothbrush|wall clock|rice cooker|ice cream maker|standing desk|e-reader|drone|projector|security camera
doorbell|headset|tablet|smart bulb|thermostat|robot vacuum|bike computer|scale|radio|game console|television
""")
THINGS = pieces("""
winter jacket|phone case|laptop stand|water bottle|yoga mat|office chair|backpack|tablet cover|toaster|bookshelf
bed frame|duvet cover|dinner plate|frying pan|knife set|rain coat|sweater|shirt|summer dress|scarf|suitcase|tent
sleeping bag|bike helmet|bike pump|car seat|toy train|board game|puzzle|paint set|guitar|charging cable|memory card
ink cartridge|shower head|bath towel|mirror|rug|curtain|garden hose|lawn mower|drill|tool box|fan|hair dryer|razor
face cream|perfume|vase|photo frame|plant pot|dog bed|cat tree|fish tank|leather wallet|handbag|belt|necklace|ring
tea set|wine glass|cutting board|pillow|mattress|coffee table|lamp shade|notebook|fountain pen|umbrella|teapot
""")
SMART = pieces("""
smart watch|bluetooth speaker|printer|router|security camera|doorbell|thermostat|smart bulb|robot vacuum|television
game console|fitness band|smart plug|baby monitor|projector|headset|smart lock|air purifier|weather station|hearing aid
""")
HARD = GADGETS + pieces("""
phone case|laptop stand|water bottle|office chair|toaster|bookshelf|bed frame|dinner plate|frying pan|suitcase|bike helmet
bike pump|toy train|guitar|shower head|mirror|lawn mower|drill|tool box|fan|hair dryer|vase|photo frame|plant pot|fish tank
wine glass|cutting board|coffee table|lamp shade|teapot
""")
DEVICES = pieces("iPhone|Android phone|iPad|Samsung phone|Pixel|tablet|MacBook|Windows laptop|work computer|old phone|new phone")
NAMES = pieces("""
Maria|James|Aisha|Tom|Elena|Wei|Priya|Lucas|Hannah|Omar|Sofia|Daniel|Grace|Ivan|Chloe|Marcus|Yuki|Nina|Peter|Laura
Ahmed|Julia|Ben|Rosa|Kevin|Ingrid|Paul|Fatima|Sam|Claire|Jin|Victor|Emma|Diego|Olivia|Noah|Leila|Martin|Anna|George
""")
CITIES = pieces("""
Boston|Denver|Leeds|Austin|Portland|Dublin|Seattle|Bristol|Chicago|Toronto|Oakland|Atlanta|Glasgow|Phoenix|Berlin
""")
MONTHS = pieces("January|February|March|April|May|June|July|August|September|October|November|December")
WEEKDAYS = pieces("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
COUNTS = pieces("two|three|four|five|six|seven|ten")


def order_number(r: random.Random) -> str:
    number = r.randint(1000, 9999) if r.random() < 0.3 else r.randint(10000, 99999)
    return f"{number}" if r.random() < 0.3 else f"#{number}"


SLOTS = {
    "product": lambda r: r.choice(GADGETS + THINGS),
    "gadget": lambda r: r.choice(GADGETS),
    "hard": lambda r: r.choice(HARD),
    "smart": lambda r: r.choice(SMART),
    "device": lambda r: r.choice(DEVICES),
    "name": lambda r: r.choice(NAMES),
    "city": lambda r: r.choice(CITIES),
    "city2": lambda r: r.choice(CITIES),
    "month": lambda r: r.choice(MONTHS),
    "weekday": lambda r: r.choice(WEEKDAYS),
    "days": lambda r: r.choice(COUNTS),
    "order": order_number,
    "amount": lambda r: "$%d%s" % (r.randint(6, 240), r.choice(["", "", ".50", ".99", ".00"])),
}


def fill(text: str, r: random.Random, chosen: dict | None = None) -> str:
    """Replaces `{slot}` by a word of its list and corrects "a" to "an" before it.

    A slot keeps its word for as long as the same `chosen` is passed.
    """
    chosen = {} if chosen is None else chosen

    def word(match):
        article, slot = match.group(1) or "", match.group(2)
        if slot not in chosen:
            chosen[slot] = SLOTS[slot](r)
        if article and chosen[slot][0] in "aeiou":
            article = article.strip() + "n "
        return article + chosen[slot]

    return re.sub(r"(\b[Aa] )?\{(\w+)\}", word, text)


def bank(text: str) -> list[str]:
    """The non-empty lines of a block."""
    return [line.strip() for line in text.strip().splitlines() if line.strip()]
