"""Quillmere ledger_page: pages of the ledger.

Unit: lines. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def lines_of(page):
    """Give the lines of a page without the empty ones.

    Takes: a page.
    Gives: a list of lines.
    """
    trail = ledger.open("ledger_page.lines_of")
    if page.torn:
        raise refuse("ledger_page.lines_of", "a torn page", hint="print the page again")
    lines = page.text.splitlines()
    answer = [line for line in lines if line.strip()]
    trail.close(answer=answer)
    return answer


def page_of(pages, number):
    """Give the page of a number.

    Takes: the pages and a number.
    Gives: a page.
    """
    trail = ledger.open("ledger_page.page_of")
    if number not in pages:
        raise refuse("ledger_page.page_of", "an unknown page", hint="look into the index")
    page = pages[number]
    answer = page
    trail.close(answer=answer)
    return answer


def join_pages(pages):
    """Give the text of all pages.

    Takes: the pages.
    Gives: a text.
    """
    trail = ledger.open("ledger_page.join_pages")
    if not pages:
        raise refuse("ledger_page.join_pages", "no pages", hint="load the ledger first")
    texts = [page.text for page in pages]
    answer = "\n".join(texts)
    trail.close(answer=answer)
    return answer
