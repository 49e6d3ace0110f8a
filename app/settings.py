"""Every setting of the service: `KHORGOS_*` in the environment, built once and passed in."""

import re
from ipaddress import ip_network
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Limits are refusals, never silent cuts. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="KHORGOS_", frozen=True, extra="ignore")

    database_url: str = Field("sqlite:///khorgos.db", description="SQLAlchemy URL: SQLite file or PostgreSQL")
    read_database_url: str = Field(
        "", description="a standby of that PostgreSQL, from which answers are read; else all are from the one"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    root_path: str = Field("", description="path prefix that a reverse proxy strips, such as /khorgos")
    public_url: str = Field(
        "",
        description="scheme and host that readers know, such as https://khorgos.example; else those of the socket",
    )

    page_limit: int = Field(100, ge=1, description="rows of a page when no limit is asked")
    page_limit_max: int = Field(1000, ge=1, le=1000, description="largest limit that may be asked")
    count_limit: int = Field(1_000, ge=0, description="rows up to which a total is counted without count=true")
    statement_timeout: float = Field(5.0, gt=0, description="longest time of one statement")
    search_timeout: float = Field(2.0, gt=0, description="longest time of one full-text statement")
    export_timeout: float = Field(300.0, gt=0, description="longest time of a streamed export")
    url_bytes: int = Field(8192, ge=256, description="longest path and query, in bytes")
    header_bytes: int = Field(16384, ge=1024, description="most bytes of a request's headers")
    max_headers: int = Field(64, ge=8, description="most headers of a request")
    max_parameters: int = Field(64, ge=1, description="most query parameters")
    list_values: int = Field(200, ge=1, le=200, description="most values of a list parameter")
    text_length: int = Field(200, ge=1, le=200, description="longest text value, in characters")
    connections: int = Field(8, ge=1, description="database connections of a worker, for each time limit")
    queries: int = Field(32, ge=1, description="requests a worker answers at once")
    exports: int = Field(2, ge=1, description="streamed exports a worker runs at once")
    stall_timeout: float = Field(60.0, gt=0, description="longest wait for a client that does not read its export")
    export_folder: str = Field("", description="folder of export files; else beside the SQLite file, or in the cache")
    pool_wait: float = Field(2.0, gt=0, description="longest wait for a free place and a connection, then 503")
    stop_timeout: float = Field(30.0, ge=0, description="longest time answers go on after the process is told to end")
    release_ttl: float = Field(0.5, ge=0, description="how long the current release may be remembered")
    cache_bytes: int = Field(64 * 2**20, ge=0, description="memory for finished answers in each worker; 0 keeps none")
    max_age: int = Field(60, ge=0, description="Cache-Control max-age of unpinned answers")
    rate_limit: str = Field(
        "", description="requests of one address, such as 10/second or 10/second;600/minute; else none is counted"
    )
    export_rate_limit: str = Field("", description="the same of exports that begin, such as 6/minute")
    forwarded_allow_ips: str = Field(
        "", description="addresses and networks of proxies whose X-Forwarded-For is believed; else nobody's is"
    )
    log_format: Literal["text", "json"] = Field("text", description="lines of the log: text or json")
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="from which level on there are lines; those of requests are info"
    )
    otel: bool = Field(False, description="true sends traces by OpenTelemetry, as the OTEL_* variables say")
    citus_column: Literal["reporter", "product"] = Field(
        "reporter", description="column that trade flows are spread by over the nodes of Citus: reporter or product"
    )
    citus_shards: int = Field(32, ge=1, le=1024, description="parts that they are spread in")
    fault: str = Field(
        "", description="for tests of faults alone: the point at which a command fails, see app/fault.py"
    )

    @property
    def wait(self) -> float:
        """Longest wait for a place, and again for a connection."""
        return self.pool_wait / 2

    @field_validator("public_url")
    @classmethod
    def check_public_url(cls, url: str) -> str:
        """Refuse what is no scheme and host."""
        if url and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", url):
            raise ValueError("it must be a scheme and a host without a path, such as https://khorgos.example")
        return url

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def fold(cls, word: str) -> str:
        """Take a word in any case."""
        return word.strip().lower()

    @field_validator("rate_limit", "export_rate_limit")
    @classmethod
    def check_rate(cls, text: str) -> str:
        """Refuse what is no rate."""
        if text:
            from limits import parse_many  # a tenth of a second, for who counts alone

            try:
                wrong = any(one.amount < 1 for one in parse_many(text))
            except ValueError:
                wrong = True
            if wrong:
                raise ValueError("it must be a number in a span of time, such as 10/second, several joined by ;")
        return text

    @field_validator("forwarded_allow_ips")
    @classmethod
    def check_proxies(cls, text: str) -> str:
        """Refuse what is no address."""
        for part in text.split(",") if text else ():
            try:
                ip_network(part.strip(), strict=False)
            except ValueError:
                message = "it must be addresses or networks, joined by commas, such as 10.0.0.0/8"
                raise ValueError(message) from None
        return text
