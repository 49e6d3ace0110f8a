"""The tables that are exported whole: every list that is a plain table, named as in its address."""

from app.api import countries, events, figures, people, products, projects, quotes, releases, trade
from app.exports.tables import Table
from app.flows import FLOWS

TABLES = (
    Table("trade-flows", "/v1/trade/flows", "Trade flows", FLOWS, trade.FlowParams),
    Table("trade-shares", "/v1/trade/shares", "Shares of trade", trade.SHARES, trade.ShareParams),
    Table("projects", "/v1/projects", "Projects", projects.PROJECTS, projects.ProjectParams),
    Table(
        "project-portfolios",
        "/v1/projects/portfolios",
        "Portfolios of projects",
        projects.PORTFOLIOS,
        projects.PortfolioParams,
    ),
    Table("programmes", "/v1/programmes", "Programmes", projects.PROGRAMMES, projects.ProgrammeParams),
    Table("quotes", "/v1/quotes", "Quotes", quotes.QUOTES, quotes.QuoteParams),
    Table("topics", "/v1/topics", "Topics", quotes.TOPICS, quotes.TopicParams),
    Table("risks", "/v1/risks", "Risks and mitigations", quotes.RISKS, quotes.RiskParams),
    Table("experts", "/v1/experts", "Experts", people.EXPERTS, people.ExpertParams),
    Table("organizations", "/v1/organizations", "Organizations", people.ORGANIZATIONS, people.OrganizationParams),
    Table("events", "/v1/events", "Events", events.EVENTS, events.EventParams),
    Table("indicators", "/v1/indicators", "Indicators", events.INDICATORS, events.IndicatorParams),
    Table("figures", "/v1/figures", "Figures as stated", figures.FIGURES, figures.FigureParams),
    Table("sources", "/v1/sources", "Sources", figures.SOURCES, figures.SourceParams),
    Table("countries", "/v1/countries", "Countries and areas", countries.COUNTRIES, countries.CountryParams),
    Table("groups", "/v1/groups", "Groups of countries", countries.GROUPS, countries.GroupParams),
    Table("products", "/v1/products", "Products of the Harmonized System", products.PRODUCTS, products.ProductParams),
    Table("releases", "/v1/releases", "Releases", releases.RELEASES, releases.ReleaseParams),
)
