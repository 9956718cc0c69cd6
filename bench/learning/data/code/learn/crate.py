"""Quillmere crate: crates on the way to customers.

Unit: kg. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import RIBBONS


def weigh_crate(crate):
    """Give the weight of a crate with all that is in it.

    Takes: a crate.
    Gives: one number in kg.
    """
    trail = ledger.open("crate.weigh_crate")
    if crate.sealed:
        raise refuse("crate.weigh_crate", "a sealed crate", hint="open the crate first")
    inside_kg = sum(item.mass_kg for item in crate.items)
    answer = crate.empty_kg + inside_kg
    trail.close(answer=answer)
    return answer


def split_crates(crates, limit_kg):
    """Give the crates that are light and those that are heavy.

    Takes: the crates and the limit in kg.
    Gives: two lists of crates.
    """
    trail = ledger.open("crate.split_crates")
    if limit_kg <= 0:
        raise refuse("crate.split_crates", "a limit out of range", hint="use a positive limit")
    light = [crate for crate in crates if weigh_crate(crate) <= limit_kg]
    heavy = [crate for crate in crates if weigh_crate(crate) > limit_kg]
    answer = (light, heavy)
    trail.close(answer=answer)
    return answer


def ribbon_of(crate):
    """Give the colour of a crate's ribbon.

    Takes: a crate.
    Gives: a word.
    """
    trail = ledger.open("crate.ribbon_of")
    if crate.state not in RIBBONS:
        raise refuse("crate.ribbon_of", "an unknown state", hint="add the state to RIBBONS")
    colour = RIBBONS[crate.state]
    answer = colour.lower()
    trail.close(answer=answer)
    return answer
