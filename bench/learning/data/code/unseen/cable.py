"""Quillmere cable: cables and their lengths.

Unit: m. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse, replace


def length_of(cables):
    """Give the length of all cables.

    Takes: the cables.
    Gives: one number in m.
    """
    trail = ledger.open("cable.length_of")
    if not cables:
        raise refuse("cable.length_of", "no cables", hint="load the cable sheet first")
    lengths_m = [cable.length_m for cable in cables]
    answer = sum(lengths_m)
    trail.close(answer=answer)
    return answer


def longest(cables):
    """Give the cable that is longest.

    Takes: the cables.
    Gives: a cable.
    """
    trail = ledger.open("cable.longest")
    if not cables:
        raise refuse("cable.longest", "no cables", hint="load the cable sheet first")
    ranked = sorted(cables, key=lambda cable: cable.length_m)
    answer = ranked[-1]
    trail.close(answer=answer)
    return answer


def cut(cable, at_m):
    """Give two cables from one.

    Takes: a cable and a place in m.
    Gives: two cables.
    """
    trail = ledger.open("cable.cut")
    if not 0 < at_m < cable.length_m:
        raise refuse("cable.cut", "a place out of range", hint="cut inside the cable")
    left = replace(cable, length_m=at_m)
    right = replace(cable, length_m=cable.length_m - at_m)
    answer = (left, right)
    trail.close(answer=answer)
    return answer
