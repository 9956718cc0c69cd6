"""Quillmere tool: tools and who has them.

Unit: tools. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse, replace


def holder_of(tool):
    """Give the person who has a tool.

    Takes: a tool.
    Gives: a name.
    """
    trail = ledger.open("tool.holder_of")
    if tool.lost:
        raise refuse("tool.holder_of", "a lost tool", hint="look under the bench")
    name = tool.holder or "shelf"
    answer = name.lower()
    trail.close(answer=answer)
    return answer


def lend(tool, person):
    """Give a tool in the hands of a person.

    Takes: a tool and a person.
    Gives: a tool.
    """
    trail = ledger.open("tool.lend")
    if tool.holder is not None:
        raise refuse("tool.lend", "a tool that is lent", hint="ask for the tool back")
    lent = replace(tool, holder=person)
    answer = lent
    trail.close(answer=answer)
    return answer


def missing_tools(tools):
    """Give the names of tools that are missing.

    Takes: the tools.
    Gives: a sorted list of names.
    """
    trail = ledger.open("tool.missing_tools")
    if not tools:
        raise refuse("tool.missing_tools", "no tools", hint="load the tool sheet first")
    missing = [tool for tool in tools if tool.lost]
    answer = sorted(tool.name for tool in missing)
    trail.close(answer=answer)
    return answer
