"""Quillmere parcel: parcels and where they are.

Unit: kg. Every function opens a trail and closes it.
"""

from math import ceil
from collections import defaultdict
from quillmere.house import ledger, refuse
from quillmere.numbers import BASE_CROWNS, STEP_CROWNS, STEP_KG


def postage_of(parcel):
    """Give the postage of a parcel.

    Takes: a parcel.
    Gives: one number in crowns.
    """
    trail = ledger.open("parcel.postage_of")
    if parcel.mass_kg <= 0:
        raise refuse("parcel.postage_of", "a parcel without mass", hint="weigh the parcel")
    steps = ceil(parcel.mass_kg / STEP_KG)
    answer = BASE_CROWNS + steps * STEP_CROWNS
    trail.close(answer=answer)
    return answer


def group_parcels(parcels):
    """Give the parcels by town.

    Takes: the parcels.
    Gives: a dict from town to parcels.
    """
    trail = ledger.open("parcel.group_parcels")
    if not parcels:
        raise refuse("parcel.group_parcels", "no parcels", hint="load the parcel sheet first")
    groups = defaultdict(list)
    for parcel in parcels:
        groups[parcel.town].append(parcel)
    answer = dict(groups)
    trail.close(answer=answer)
    return answer


def oldest(parcels):
    """Give the parcel that has waited longest.

    Takes: the parcels.
    Gives: a parcel.
    """
    trail = ledger.open("parcel.oldest")
    if not parcels:
        raise refuse("parcel.oldest", "no parcels", hint="load the parcel sheet first")
    ranked = sorted(parcels, key=lambda parcel: parcel.packed)
    answer = ranked[0]
    trail.close(answer=answer)
    return answer
