"""Structures of a release as Structure ML 2.1: what refers to what, and each written whole or as a stub."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from app.releases import Edition
from app.sdmx.cube import AGENCY, SCHEME, TIME, VALUE, VERSION, Component, Cube
from app.sdmx.cubes import CUBES
from app.sdmx.lists import LISTS
from app.sdmx.xml import DECLARATION, SCHEMAS, header, name, reference, told, word

Labels = Mapping[str, str]
Key = tuple[str, str]
"""Kind and id of a structure."""
OWN_CONCEPTS = {
    TIME: ("Time period", "Year, quarter, month, day, or a range such as 2025-01-01/P4M for January to April."),
    VALUE: ("Observation value", "The number, in units of UNIT_MEASURE."),
}


@dataclass(frozen=True)
class Style:
    """How structures are written: which are stubs, whether a stub has its description, and under which path it is."""

    stubs: frozenset[Key]
    described: bool
    root: str


def children(key: Key) -> set[Key]:
    """Give what a structure refers to."""
    kind, what = key
    if kind == "dataflow":
        return {("datastructure", what)}
    if kind != "datastructure":
        return set()
    lists = {one.codelist for one in CUBES[what].components if one.codelist}
    return {("conceptscheme", SCHEME), *(("codelist", one) for one in lists)}


EVERY: tuple[Key, ...] = (
    *(("dataflow", cube) for cube in CUBES),
    *(("codelist", one) for one in LISTS),
    ("conceptscheme", SCHEME),
    *(("datastructure", cube) for cube in CUBES),
)
"""Every structure, in the order that a message has them."""


def parents(key: Key) -> set[Key]:
    """Give what refers to a structure."""
    return {one for one in EVERY if key in children(one)}


def descendants(key: Key) -> set[Key]:
    """Give what a structure refers to, and what that refers to."""
    found = children(key)
    return found.union(*(descendants(one) for one in found))


def siblings(key: Key) -> set[Key]:
    """Give what refers to a structure, and what else that refers to."""
    found = parents(key)
    return found.union(*(children(one) for one in found))


def related(key: Key, references: str) -> set[Key]:
    """Give what is asked beside a structure."""
    ways: dict[str, Callable[[Key], set[Key]]] = {
        "none": lambda _: set(),
        "children": children,
        "descendants": descendants,
        "parents": parents,
        "parentsandsiblings": siblings,
        "all": lambda one: siblings(one) | descendants(one),
    }
    if references in ways:
        return ways[references](key)
    return {one for one in siblings(key) | descendants(key) if one[0] == references}


def closure(asked: Iterable[Key], references: str) -> tuple[Key, ...]:
    """Give the structures asked with those asked beside them, in the order of a message."""
    wanted = set(asked)
    wanted = wanted.union(*(related(one, references) for one in wanted))
    return tuple(one for one in EVERY if one in wanted)


def style_of(detail: str, asked: Iterable[Key], found: Iterable[Key], root: str) -> Style:
    """Say which structures `detail` wants as stubs."""
    stubs = set() if detail == "full" else set(found)
    if detail.startswith("reference"):
        stubs -= set(asked)
    return Style(frozenset(stubs), detail.endswith("completestubs"), root)


def write_structures(found: tuple[Key, ...], style: Style, labels: Mapping[str, Labels], edition: Edition) -> str:
    """Write a structure message; `labels` has the codes of each codelist that is written whole."""
    parts = []
    for kind, (element, write) in ELEMENTS.items():
        of_kind = [write(key, style, labels) for key in found if key[0] == kind]
        if of_kind:
            parts.append(f"<str:{element}>\n" + "".join(of_kind) + f"</str:{element}>\n")
    return message(edition, "<mes:Structures>\n" + "".join(parts) + "</mes:Structures>\n")


def message(edition: Edition, body: str) -> str:
    """Give a structure message around its body."""
    return (
        f'{DECLARATION}<mes:Structure xmlns:mes="{SCHEMAS}/message" xmlns:com="{SCHEMAS}/common" '
        f'xmlns:str="{SCHEMAS}/structure">\n{header("STRUCTURE", edition)}{body}</mes:Structure>\n'
    )


def maintained(tag: str, key: Key, style: Style, named: tuple[str, str], inner: str, more: str = "") -> str:
    """Give a structure: its identity, name and description, and what is in it unless it is a stub."""
    kind, what = key
    is_stub = key in style.stubs
    if is_stub:
        whole = f"{style.root}/{kind}/{AGENCY}/{what}/{VERSION}"
        more = f' isExternalReference="true" structureURL={word(whole)}'
    texts = name(named[0])
    if named[1] and (style.described or not is_stub):
        texts += name(named[1], "com:Description")
    head = f"<str:{tag} id={word(what)} agencyID={word(AGENCY)} version={word(VERSION)}{more}>"
    return f"{head}{texts}{'' if is_stub else inner}</str:{tag}>\n"


def write_dataflow(key: Key, style: Style, _: Mapping[str, Labels]) -> str:
    """Write a dataflow."""
    cube = CUBES[key[1]]
    inner = f"<str:Structure>{reference(cube.id, 'DataStructure', 'datastructure')}</str:Structure>"
    return maintained("Dataflow", key, style, (cube.name, cube.description), inner)


def write_codelist(key: Key, style: Style, labels: Mapping[str, Labels]) -> str:
    """Write a codelist."""
    found = LISTS[key[1]]
    codes = [
        f"<str:Code id={word(code)}>{name(label)}</str:Code>\n" for code, label in labels.get(found.id, {}).items()
    ]
    return maintained("Codelist", key, style, (found.name, ""), "\n" + "".join(codes))


def write_concepts(key: Key, style: Style, _: Mapping[str, Labels]) -> str:
    """Write the concept scheme: what each component of each dataflow is."""
    found = {one.id: (one.name, one.description) for cube in CUBES.values() for one in cube.components}
    concepts = []
    for what, (called, description) in {**found, **OWN_CONCEPTS}.items():
        more = name(description, "com:Description") if description else ""
        concepts.append(f"<str:Concept id={word(what)}>{name(called)}{more}</str:Concept>\n")
    return maintained("ConceptScheme", key, style, ("Concepts of Khorgos", ""), "\n" + "".join(concepts))


def write_datastructure(key: Key, style: Style, _: Mapping[str, Labels]) -> str:
    """Write a data structure: dimensions, attributes, measure."""
    cube = CUBES[key[1]]
    dimensions = [
        f'<str:Dimension id={word(one.id)} position="{place}">{identity(one.id)}{represented(one)}</str:Dimension>\n'
        for place, one in enumerate(cube.dimensions, 1)
    ]
    time = (
        f'<str:TimeDimension id="{TIME}" position="{len(dimensions) + 1}">{identity(TIME)}<str:LocalRepresentation>'
        '<str:TextFormat textType="ObservationalTimePeriod"/></str:LocalRepresentation></str:TimeDimension>\n'
    )
    measure = (
        f'<str:PrimaryMeasure id="{VALUE}">{identity(VALUE)}<str:LocalRepresentation>'
        f"<str:TextFormat textType={word(cube.number)}/></str:LocalRepresentation></str:PrimaryMeasure>"
    )
    inner = (
        '\n<str:DataStructureComponents>\n<str:DimensionList id="DimensionDescriptor">\n'
        f"{''.join(dimensions)}{time}</str:DimensionList>\n"
        f'<str:AttributeList id="AttributeDescriptor">\n{attributes(cube)}</str:AttributeList>\n'
        f'<str:MeasureList id="MeasureDescriptor">{measure}</str:MeasureList>\n</str:DataStructureComponents>\n'
    )
    return maintained("DataStructure", key, style, (cube.name, cube.description), inner)


def attributes(cube: Cube) -> str:
    """Give the attributes of a data structure: of series, and of observations."""
    of_series = "".join(f"<str:Dimension><Ref id={word(one.id)}/></str:Dimension>" for one in cube.dimensions)
    of_values = f'<str:PrimaryMeasure><Ref id="{VALUE}"/></str:PrimaryMeasure>'
    found = [(one, of_series) for one in cube.series_attributes] + [(one, of_values) for one in cube.attributes]
    return "".join(
        f'<str:Attribute id={word(one.id)} assignmentStatus="{"Mandatory" if one.mandatory else "Conditional"}">'
        f"{identity(one.id)}{represented(one)}<str:AttributeRelationship>{what}</str:AttributeRelationship>"
        "</str:Attribute>\n"
        for one, what in found
    )


def identity(concept: str) -> str:
    """Say which concept a component is."""
    return (
        f"<str:ConceptIdentity><Ref id={word(concept)} maintainableParentID={word(SCHEME)} "
        f"maintainableParentVersion={word(VERSION)} agencyID={word(AGENCY)} "
        'package="conceptscheme" class="Concept"/></str:ConceptIdentity>'
    )


def represented(one: Component) -> str:
    """Say what the values of a component are: codes of a list, or text."""
    inner = (
        f"<str:Enumeration>{reference(one.codelist, 'Codelist', 'codelist')}</str:Enumeration>"
        if one.codelist
        else '<str:TextFormat textType="String"/>'
    )
    return f"<str:LocalRepresentation>{inner}</str:LocalRepresentation>"


ELEMENTS = {
    "dataflow": ("Dataflows", write_dataflow),
    "codelist": ("Codelists", write_codelist),
    "conceptscheme": ("Concepts", write_concepts),
    "datastructure": ("DataStructures", write_datastructure),
}
"""Kinds of structures in the order of a message: the element that holds them, and what writes one."""


def write_available(cube: Cube, found: Mapping[str, list[str]], edition: Edition) -> str:
    """Write what codes there are as a content constraint."""
    values = "".join(
        f"<com:KeyValue id={word(one)}>" + "".join(map(value, codes)) + "</com:KeyValue>\n"
        for one, codes in found.items()
        if one != TIME
    )
    if TIME in found:
        first, last = found[TIME]
        values += (
            f'<com:KeyValue id="{TIME}"><com:TimeRange><com:StartPeriod isInclusive="true">{first}</com:StartPeriod>'
            f'<com:EndPeriod isInclusive="true">{last}</com:EndPeriod></com:TimeRange></com:KeyValue>\n'
        )
    body = (
        f'<mes:Structures>\n<str:Constraints>\n<str:ContentConstraint id="AVAILABLE_{cube.id}" '
        f'agencyID="{AGENCY}" version="{VERSION}" type="Actual">{name(f"What there is in {cube.name}")}'
        f"<str:ConstraintAttachment><str:Dataflow>{reference(cube.id, 'Dataflow', 'datastructure')}</str:Dataflow>"
        f'</str:ConstraintAttachment>\n<str:CubeRegion include="true">\n{values}</str:CubeRegion>'
        "</str:ContentConstraint>\n</str:Constraints>\n</mes:Structures>\n"
    )
    return message(edition, body)


def value(code: str) -> str:
    """Give one code of a key value."""
    return f"<com:Value>{escape(told(code))}</com:Value>"
