"""Quillmere lathe: the old lathe.

Unit: turns. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import FULL_ML


def speed_for(diameter_mm, cut_m_min):
    """Give the turns a minute for a cut.

    Takes: a diameter in mm and a cutting speed.
    Gives: a whole number of turns.
    """
    trail = ledger.open("lathe.speed_for")
    if diameter_mm <= 0:
        raise refuse("lathe.speed_for", "a part without size", hint="measure the part")
    around_m = PI * diameter_mm / 1000
    answer = round(cut_m_min / around_m)
    trail.close(answer=answer)
    return answer


def oil_left(lathe):
    """Give the share of oil that is left.

    Takes: the lathe.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("lathe.oil_left")
    if lathe.running:
        raise refuse("lathe.oil_left", "a running lathe", hint="stop the lathe")
    held_ml = lathe.oil_ml
    answer = held_ml / FULL_ML
    trail.close(answer=answer)
    return answer


def time_of_cut(length_mm, feed_mm, turns):
    """Give the minutes of a cut.

    Takes: a length and a feed in mm and the turns.
    Gives: one number in minutes.
    """
    trail = ledger.open("lathe.time_of_cut")
    if feed_mm * turns == 0:
        raise refuse("lathe.time_of_cut", "a cut without feed", hint="set the feed")
    mm_a_minute = feed_mm * turns
    answer = length_mm / mm_a_minute
    trail.close(answer=answer)
    return answer
