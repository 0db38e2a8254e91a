from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from postgres import PASSWORD, Server

from bbnas.errors import UserError
from bbnas.store import Store


def test_several_make_the_tables_of_an_empty_database_at_once(database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda url: Store(url, create=True).studies(), [database] * 8))
    assert made == [[]] * 8


def test_a_wrong_password_is_told_at_once(postgres: Server) -> None:
    with pytest.raises(UserError, match=r"authentication failed.*\.pgpass") as error:
        Store(postgres.url(":wrong"), create=True)
    assert "wrong" not in str(error.value)


def test_a_password_file_is_read(
    postgres: Server, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path_factory.mktemp("home") / "pgpass"
    file.write_text(f"127.0.0.1:{postgres.port}:*:me:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert Store(postgres.url(""), create=True).studies() == []
