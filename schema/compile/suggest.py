"""Suggest words when a search found nothing: the closest ones in the newest records that fit everything but the words.

So what is suggested can be found, and is of records that may be seen. Nothing is computed unless it is asked for and
nothing was found, and then from a bounded number of records: a rare word of an old record is not suggested.
"""

import re

from schema.compile.read import Source
from schema.compile.visibility import visible

SUGGESTIONS_MAX = 5
RECORDS_READ_MAX = 500
WORDS_TYPED_MAX = 4
WORD_CHARS_MIN = 3
WORD_CHARS_MAX = 40
SIMILARITY_MIN = 0.3  # pg_trgm's own threshold
NOTHING = "'[]'"

_WORD = re.compile(r"[^\W_]+")


def typed(text: str) -> list[str]:
    """Return the words of a search that may be misspelt, in lower case."""
    found = dict.fromkeys(_WORD.findall(text.lower()))
    return [word for word in found if WORD_CHARS_MIN <= len(word) <= WORD_CHARS_MAX][:WORDS_TYPED_MAX]


def suggestions_sql(source: Source, n: int, where: str, where_but_words: str, words: str) -> str:
    """Return SQL of a JSON list: of words near one of the parameter `words` that occurs in no record looked at."""
    newest = (
        f"select t{n}.search_text from {visible(source, n)} where {where_but_words} "
        f"order by t{n}.received_at desc, t{n}.record_id desc, t{n}.publisher_id desc limit {RECORDS_READ_MAX}"
    )
    return f"""case when exists (select from {visible(source, n)} where {where}) then {NOTHING} else (
        with known as (
            select distinct word from ({newest}) newest,
                regexp_split_to_table(lower(unaccent(search_text)), '[^[:alnum:]]+') word
            where length(word) between {WORD_CHARS_MIN} and {WORD_CHARS_MAX}
        ), near as (
            select known.word, max(similarity(known.word, asked.word)) as nearness
            from (select unaccent(word) as word from unnest({words}) word) asked, known
            where similarity(known.word, asked.word) >= {SIMILARITY_MIN}
                and not exists (select from known same where same.word = asked.word)
            group by known.word order by nearness desc, known.word limit {SUGGESTIONS_MAX}
        )
        select '[' || coalesce(string_agg(to_json(word)::text, ',' order by nearness desc, word), '') || ']' from near
    ) end"""
