"""Take in statistics: breakdowns of flows, products, areas, what a release changed"""

import sqlalchemy as sa
from alembic import op

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = ("reporter", "partner", "flow", "product", "classification", "frequency", "period", "source", "stated_by")
INDEXES = {
    "reporter": ("partner", "flow", "product"),
    "partner": ("reporter", "flow", "product"),
    "product": ("reporter", "partner", "flow"),
    "source": ("reporter", "partner"),
}
RELEASE = {"options": TEXT, "withdraws": sa.Integer(), "changes": TEXT}

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take in statistics."""
    for name, kind in RELEASE.items():
        op.add_column("releases", sa.Column(name, kind, nullable=True))
    kinds("economy", "aggregate", "area")
    op.add_column("countries", sa.Column("comtrade_also", TEXT, nullable=False, server_default=""))
    with op.batch_alter_table("countries") as batch:
        batch.alter_column("comtrade_also", server_default=None)
    flows((*KEY, "breakdown", "release"), dict(INDEXES))
    op.create_table(
        "products",
        sa.Column("code", TEXT, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("parent", TEXT, nullable=True),
        sa.Column("section", TEXT, nullable=True),
        sa.Column("section_name", TEXT, nullable=True),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("superseded_by", sa.Integer(), nullable=True),
        sa.CheckConstraint("(level = 0) = (parent IS NULL)", name=op.f("ck_products_parent")),
        sa.CheckConstraint("code <> ''", name=op.f("ck_products_code_not_blank")),
        sa.CheckConstraint("description <> ''", name=op.f("ck_products_description_not_blank")),
        sa.CheckConstraint("section <> ''", name=op.f("ck_products_section_not_blank")),
        sa.CheckConstraint("level IN (0, 2, 4, 6)", name=op.f("ck_products_level")),
        sa.CheckConstraint("superseded_by > release", name=op.f("ck_products_superseded_later")),
        sa.ForeignKeyConstraint(["release"], ["releases.id"], name=op.f("fk_products_release")),
        sa.ForeignKeyConstraint(["superseded_by"], ["releases.id"], name=op.f("fk_products_superseded_by")),
        sa.PrimaryKeyConstraint("code", "release", name=op.f("pk_products")),
    )
    current = sa.text("superseded_by IS NULL")
    op.create_index(
        "uq_products_current", "products", ["code"], unique=True, sqlite_where=current, postgresql_where=current
    )
    op.create_index("ix_products_parent", "products", ["parent"])


def downgrade() -> None:
    """Go back to the tables before statistics; what they could not hold goes."""
    op.drop_table("products")
    op.execute("DELETE FROM trade_flows WHERE breakdown <> '-'")
    flows((*KEY, "release"), dict.fromkeys(INDEXES, ()))
    op.execute("DELETE FROM countries WHERE kind = 'area'")
    with op.batch_alter_table("countries") as batch:
        batch.drop_column("comtrade_also")
    kinds("economy", "aggregate")
    for name in RELEASE:
        op.drop_column("releases", name)


def kinds(*allowed) -> None:
    """Hold the kind of a country to a list."""
    listed = ", ".join(f"'{kind}'" for kind in allowed)
    with op.batch_alter_table("countries") as batch:
        batch.drop_constraint(op.f("ck_countries_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_countries_kind"), f"kind IN ({listed})")


def flows(key, indexes) -> None:
    """Give flows a key and indexes; the breakdown comes or goes with them."""
    for name in INDEXES:
        op.drop_index(f"ix_trade_flows_{name}_year", "trade_flows")
    blank = op.f("ck_trade_flows_breakdown_not_blank")
    if has := "breakdown" in key:
        op.add_column("trade_flows", sa.Column("breakdown", TEXT, nullable=False, server_default="-"))
        op.add_column("trade_flows", sa.Column("net_weight_estimated", sa.Boolean(), nullable=True))
    with op.batch_alter_table("trade_flows") as batch:
        batch.drop_constraint(op.f("pk_trade_flows"), type_="primary")
        if has:
            batch.alter_column("breakdown", server_default=None)
            batch.create_check_constraint(blank, "breakdown <> ''")
        else:
            batch.drop_constraint(blank, type_="check")
            batch.drop_column("breakdown")
            batch.drop_column("net_weight_estimated")
        batch.create_primary_key(op.f("pk_trade_flows"), list(key))
    for name, more in indexes.items():
        op.create_index(f"ix_trade_flows_{name}_year", "trade_flows", [name, "year", *more])
