"""What runs each second, or for each unit, reads no more than it needs: SQLite is asked how it
would find the rows. Only what is leased may be walked through; it is little."""

import re

from descent.deploy.jobs.store import transactions

FEW = {"SCAN picked", "SCAN unit USING INDEX unit_leased", "SCAN event USING INDEX event_leased"}


def test_no_statement_of_the_hot_path_walks_through_a_table(tmp_path, monkeypatch):
    from tests.deploy.jobs.store.conftest import opened

    plans: dict[str, list[str]] = {}

    def explain(tx, sql, parameters):
        if not sql.startswith("INSERT") and tx.session.__class__.__name__ == "SqliteSession":
            rows = tx.session.rows(f"EXPLAIN QUERY PLAN {sql}", parameters)
            plans[sql] = [row[-1] for row in rows]

    def rows(tx, sql, *parameters):
        explain(tx, sql, parameters)
        return tx.session.rows(sql, parameters)

    def run(tx, sql, *parameters):
        explain(tx, sql, parameters)
        return tx.session.run(sql, parameters)

    monkeypatch.setattr(transactions.Tx, "rows", rows)
    monkeypatch.setattr(
        transactions.Tx, "row", lambda tx, sql, *p: (rows(tx, sql, *p) or [None])[0]
    )
    monkeypatch.setattr(transactions.Tx, "run", run)
    with opened(f"sqlite:///{tmp_path}/jobs.db") as bench:
        store = bench.store
        id = bench.submit(6, attempts=1, events=("webhook",))
        leases = bench.lease(4)
        bench(store.renew(leases[:1]))
        bench(store.commit(leases[0]))
        bench(store.fail(leases[1], "down"))
        bench(store.release(leases[2]))
        bench(store.lease("api", 1, worker="w", job=id))
        bench(store.sweep())
        bench(store.recover("w"))
        bench(store.cancel(id))
        bench(store.events.claim(["webhook"], 1, worker="w"))
        bench(store.expired())
        bench(store.counts("api"))
        bench(store.jobs("api", open=True))
        bench(store.units(id))
        bench(store.dead_letters("api"))
    walks = {
        sql: line
        for sql, lines in plans.items()
        for line in lines
        if re.match("SCAN", line) and line not in FEW
    }
    assert len(plans) > 20
    assert walks == {}
