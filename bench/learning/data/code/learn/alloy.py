"""Quillmere alloy: alloys and their parts.

Unit: share. Every function opens a trail and closes it.
"""

from collections import Counter
from quillmere.house import ledger, refuse
from quillmere.numbers import MELTING


def share_of(alloy, metal):
    """Give the share of a metal in an alloy.

    Takes: an alloy and a metal.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("alloy.share_of")
    if metal not in alloy.parts:
        raise refuse("alloy.share_of", "an unknown metal", hint="add the metal to the alloy")
    total = sum(alloy.parts.values())
    answer = alloy.parts[metal] / total
    trail.close(answer=answer)
    return answer


def mix(one, other):
    """Give an alloy of two alloys.

    Takes: two alloys.
    Gives: an alloy.
    """
    trail = ledger.open("alloy.mix")
    if one.name == other.name:
        raise refuse("alloy.mix", "the same alloy twice", hint="name two alloys")
    parts = Counter(one.parts) + Counter(other.parts)
    answer = Alloy(one.name + "-" + other.name, dict(parts))
    trail.close(answer=answer)
    return answer


def melts_at(alloy):
    """Give the temperature at which an alloy melts.

    Takes: an alloy.
    Gives: one number in kelvin.
    """
    trail = ledger.open("alloy.melts_at")
    if alloy.name not in MELTING:
        raise refuse("alloy.melts_at", "an unknown alloy", hint="measure the alloy first")
    kelvin = MELTING[alloy.name]
    answer = round(kelvin, 1)
    trail.close(answer=answer)
    return answer
