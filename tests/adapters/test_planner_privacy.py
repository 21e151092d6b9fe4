"""
What the planner saw of users' values stays with it: none is in the answers that are kept.
"""

from __future__ import annotations

from pathlib import Path

from rung.adapters.answers import AnswerFile
from rung.ports import Configuration, Costs, Describe, Explain, Index, IndexColumn, Unavailable, WhatIf
from tests.adapters.test_planner import _execute, _planner, _rows

SECRETS = ("canary-mail@example.org", "canary-city", "4711471147")


def costs_of(statement: str, index: Index) -> Costs:
    return Costs(
        (statement, "select * from people where number = $1 and id < ANY ($1)"), (index,), (Configuration((0,)),)
    )


def test_users_values_are_in_no_answer(database: str, tmp_path: Path) -> None:
    """
    Canaries in the data, its statistics, constraints, predicates, policies and views; none in what is kept.
    """
    mail, city, number = SECRETS
    _execute(
        database,
        f"""
        create table people (id int, email text, city text check (city <> '{city}'), number bigint);
        insert into people select n, case when n % 3 = 0 then '{mail}' else n || '{mail}' end, 'x{city}', {number}
        from generate_series(1, 20000) n;
        create index people_partial on people (id) where number > {number} and email <> '{mail}';
        create index people_mail on people (email);
        create view secret as
            select * from people
            where city = 'x{city}' and number in ({number}, {number}1) and email <> E'\\\\{mail}''s';
        """,
    )
    _execute(database, "analyze people")
    assert mail in str(_rows(database, "select most_common_vals::text from pg_stats where attname = 'email'"))
    answers = AnswerFile(tmp_path, "one", fresh=False)
    index = Index("public", "people", (IndexColumn("city"), IndexColumn("id")))
    # Its statistics in the twin are made of values.
    lowered = Index("public", "people", (IndexColumn("lower(email)", expression=True),))
    # It fails for each of them.
    failing = Index("public", "people", (IndexColumn("(email::int)", expression=True),))

    with _planner(database) as planner:
        for statement in (
            "select * from people where email = $1 and number > $2",
            "select * from people where id = $1 and number > $2 order by city",
            "select count(*) from secret where id = $1 group by city order by city",
            "select id from people where lower(email) = $1 or email::int = $2",
        ):
            for question, answer in (
                (Explain(statement), planner.explain(Explain(statement))),
                (WhatIf(statement, index), planner.what_if(WhatIf(statement, index))),
                (WhatIf(statement, lowered), planner.what_if(WhatIf(statement, lowered))),
                (WhatIf(statement, failing), planner.what_if(WhatIf(statement, failing))),
                (Describe("public", "people"), planner.describe(Describe("public", "people"))),
                (costs_of(statement, index), planner.costs(costs_of(statement, index))),
            ):
                assert not isinstance(answer, Unavailable), answer
                answers.keep(question, answer)

    kept = answers.path.read_text()
    assert "Filter: " in kept
    assert "$n" in kept
    for secret in SECRETS:
        assert secret not in kept
