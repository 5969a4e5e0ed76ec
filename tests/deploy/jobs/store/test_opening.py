"""Databases that cannot be used say why; full ones refuse, lose nothing and go on."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from descent.deploy.jobs.store import (
    Content,
    Database,
    NewJob,
    NewUnit,
    Store,
    StoreError,
    StoreFull,
    StoreUnavailable,
    database_sqlite,
)
from descent.deploy.jobs.store.schema import MIGRATIONS
from tests.deploy.jobs.store.conftest import opened
from tests.deploy.postgres import fresh_url


def close(database):
    asyncio.run(database.close())


def rewrite(path, sql):
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://root@localhost/x", "no store for mysql://; use sqlite"),
        ("sqlite://jobs.db", "three slashes and a path"),
        ("sqlite:////tmp/x.db?size=3", "no option 'size'; there is max_bytes"),
        ("sqlite:////tmp/x.db?max_bytes=1GB", "max_bytes is a number of bytes, not '1GB'"),
        ("sqlite:////proc/jobs.db", "/proc/jobs.db: .*; can it and its folder be"),
        ("sqlite:////proc/nowhere/jobs.db", "/proc/nowhere/jobs.db: .*; can it and its folder be"),
        ("sqlite:////tmp", "is a folder; the store is a file in one"),
        ("postgresql://nobody@/x?host=/nowhere", "PostgreSQL at /nowhere: .*No such file"),
        ("postgresql:///x?descent_schema=a-b", "lower-case letters, digits and _"),
    ],
)
def test_urls_that_are_not_a_store(url, message):
    with pytest.raises(StoreError, match=message):
        Database.open(url, patience_s=0.05)


def test_postgres_without_its_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "descent.deploy.jobs.store.database_postgres", raising=False)
    with pytest.raises(StoreError, match=r"pip install 'descent-ml\[postgres\]'"):
        Database.open("postgresql://localhost/x")


def test_a_file_that_is_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("milk, bread, eggs", encoding="utf-8")
    with pytest.raises(
        StoreError, match=r"is not a SQLite database \(it begins with b'milk, bread"
    ):
        Database.open(str(tmp_path / "notes.txt"))
    rewrite(tmp_path / "other.db", "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match="the database of another program"):
        Database.open(str(tmp_path / "other.db"))


def test_a_damaged_file(tmp_path):
    path = tmp_path / "jobs.db"
    close(Database.open(str(path)))
    content = bytearray(path.read_bytes())
    content[100:4000] = os.urandom(3900)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="malformed; the file is damaged"):
        Database.open(str(path))


def test_what_is_kept_is_its_owners(tmp_path):
    path = tmp_path / "jobs.db"
    database = Database.open(str(path))
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    close(database)
    assert set(modes.values()) == {0o600}, modes


def test_a_file_that_is_damaged_while_it_is_used(tmp_path):
    path = tmp_path / "jobs.db"

    async def run():
        store = Store(Database.open(str(path)))
        for _ in range(300):
            await store.submit(NewJob("api", "AsyncAPI"), [NewUnit(Content(b"x" * 3000))])
        await store.close()
        content = bytearray(path.read_bytes())
        content[1 << 18 :] = os.urandom(len(content) - (1 << 18))
        path.write_bytes(content)
        store = Store(Database.open(str(path)))
        with pytest.raises(StoreError, match="malformed; the file is damaged"):
            await store.jobs()
        with pytest.raises(StoreError, match="malformed; the file is damaged"):
            await store.submit(NewJob("api", "AsyncAPI"), [NewUnit()])
        await store.close()

    asyncio.run(run())


def test_a_newer_schema_is_not_touched(url):
    close(Database.open(url))
    if url.startswith("sqlite"):
        rewrite(url.removeprefix("sqlite:///"), "PRAGMA user_version = 99")
    else:
        database = Database.open(url)
        asyncio.run(_insert_version(database))
    with pytest.raises(StoreError, match=r"newer Descent \(schema 99, this one knows"):
        Database.open(url)


async def _insert_version(database):
    await database.write(lambda tx: tx.run("INSERT INTO migration VALUES (99, 0)"))
    await database.close()


def test_older_schemas_are_brought_up_to_date_or_left_as_they_were(url, monkeypatch):
    from descent.deploy.jobs.store import database_postgres

    with opened(url) as bench:
        id = bench.submit(3)
    for module in (database_sqlite, database_postgres):
        monkeypatch.setattr(
            module, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE job ADD COLUMN x INTEGER; NONSENSE",))
        )
    with pytest.raises(StoreError, match="NONSENSE"):
        Database.open(url)
    for module in (database_sqlite, database_postgres):
        monkeypatch.setattr(
            module, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE job ADD COLUMN x INTEGER DEFAULT 7",))
        )
    with opened(url) as bench:
        assert bench.job(id).total == 3
        assert bench(bench.store.database.read(lambda tx: tx.rows("SELECT x FROM job"))) == [(7,)]


def test_stores_that_open_together_make_the_tables_once(url):
    with ThreadPoolExecutor(4) as threads:
        databases = list(threads.map(lambda _: Database.open(url), range(4)))
    for database in databases:
        close(database)


def test_a_database_that_another_holds_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(database_sqlite, "BUSY_TIMEOUT_S", 0.02)
    path = tmp_path / "jobs.db"
    store = Store(Database.open(str(path), patience_s=0.3))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    async def run():
        with pytest.raises(
            StoreUnavailable,
            match=r"another process holds it \(tried for 0.3 s; asking again is safe",
        ):
            await store.settings.set("a", 1)
        holder.execute("ROLLBACK")
        await store.settings.set("a", 2)
        assert await store.settings.get("a") == 2
        await store.close()

    asyncio.run(run())
    holder.close()


def test_a_full_database_refuses_whole_jobs_and_goes_on_when_there_is_room(tmp_path):
    big = [NewUnit(Content(b"x" * 20_000))] * 10

    async def run():
        store = Store(Database.open(f"sqlite:///{tmp_path}/jobs.db?max_bytes=2000000"))
        kept = []
        store_is_full = None
        while store_is_full is None:
            try:
                kept.append((await store.submit(NewJob("api", "BatchAPI"), big)).job.id)
            except StoreFull as error:
                store_is_full = str(error)
        assert "the disk is full" in store_is_full
        assert store_is_full.endswith("nothing was changed")
        assert len(kept) > 2
        assert [job.id for job in (await store.jobs()).items] == kept[::-1]
        assert (await store.counts("api"))["queued"] == 10 * len(kept)
        await store.cancel(kept[0])
        assert await store.remove(kept[0])
        kept.append((await store.submit(NewJob("api", "BatchAPI"), big)).job.id)
        done = 0
        while leases := await store.lease("api", 7, worker="w"):
            done += sum([await store.commit(lease) for lease in leases])
        assert done == 10 * (len(kept) - 1)
        await store.close()

    asyncio.run(run())


LIMITED = """
    import asyncio, resource, sqlite3, sys
    from descent.deploy.jobs.store import *

    async def run(path):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        store = Store(Database.open(path))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
        unit, kept, full = NewUnit(Content(b"x" * 50_000)), [], 0
        while full < 3:
            try:
                kept.append((await store.submit(NewJob("api", "AsyncAPI"), [unit])).job.id)
            except StoreFull as error:
                full += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        kept.append((await store.submit(NewJob("api", "AsyncAPI"), [unit])).job.id)
        assert [job.id for job in (await store.jobs(limit=1000)).items] == kept[::-1], "all kept"
        assert len(kept) > 5
        await store.close()
        assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)

    asyncio.run(run(sys.argv[1]))
"""


def test_a_file_that_may_not_grow_is_a_full_store_too(tmp_path):
    code = textwrap.dedent(LIMITED)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "jobs.db")], check=True, timeout=60)


def test_postgres_without_room_is_a_full_store():
    with opened(fresh_url()) as bench:

        def change(tx):
            tx.run("INSERT INTO setting (name, value) VALUES ('half', '1')")
            tx.run("DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$")

        with pytest.raises(StoreFull, match=r"no space left.*; nothing was changed"):
            bench(bench.store.database.write(change))
        assert bench(bench.store.settings.all()) == {}
