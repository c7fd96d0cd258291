"""The page of a neuron type as Hippocampome.org writes it: HTML 4 tables that make sense by three classes.

`table_neuron_page3` is a section's title, `table_neuron_page1` a heading within it, `table_neuron_page2` a
value. The unclosed tags and the stray `</table>` are theirs: who counts tables reads the wrong ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

NeuronType = dict[str, Any]

EMPTY_PAGE = """<html xmlns="http://www.w3.org/1999/xhtml">
<head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1" />
<title>Neuron type - </title></head>
<body><div class='title_area'><font class="font1"> </font></div>
<table class='body_table'><tr><td><table><tr><td class="table_neuron_page1"> Name </td>
<td class="table_neuron_page2"> </td></tr></table></td></tr></table></body></html>
"""
_HEAD = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "">
<html xmlns="http://www.w3.org/1999/xhtml">
<head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1" />
<title>Neuron type - {nickname}</title></head>
<body><div class='title_area' width='100%'><font class="font1"> {nickname} </font></div>
<div align="center"><table width="85%" class='body_table'><tr height="95"><td></td></tr>
<tr><td align="center">
"""
_STRAY = "</ul></div></div></td></tr></table><br>"  # closes a table that nobody opened
_TAIL = "</td></tr></table>\n</tr></table></td></tr></table><br></div></body></html>\n"
_UNITS = {"MOhm": "M&Omega;"}
_KEY = (
    "<strong>Key:</strong> [range] OR representative value&plusmn;SD (measurements); "
    "Number of sources (total measurements): [min , max]"
)
_PARTS = {"soma": ("Soma", "somata"), "axons": ("Axons", "red"), "dendrites": ("Dendrites", "blue")}
_NONE_KNOWN = "None known"


def neuron_page(item: NeuronType, sources: Iterable[NeuronType], targets: Iterable[NeuronType]) -> str:
    """The page of one type; `sources` and `targets` are the types that it is connected with."""
    parts = [
        _HEAD.format(nickname=escape(item["nickname"])),
        _naming(item),
        _articles(item),
        _supplement(item),
        _morphology(item),
        _figure(item),
        _markers(item),
        _electrophysiology(item),
        _firing(item),
        _models(item),
        _partners("Sources of Input", "sources", item, sources),
        _partners("Targets of Output", "targets", item, targets),
        _section("Oscillation Phase Locking"),
        _TAIL,
    ]
    return "\n".join(parts)


def _table(rows: Iterable[str]) -> str:
    return f"<table width='80%' border='0' cellspacing='2'>{''.join(rows)}</table>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _cell(level: int, content: str) -> str:
    return f"<td align='left' width='80%' class='table_neuron_page{level}'>\n  {content} </td>"


def _section(title: str) -> str:
    return _table([_row(_cell(3, title))])


def _headed(title: str, values: Iterable[str]) -> str:
    """A heading beside an empty heading cell, then one row for each value."""
    rows = [_row(_cell(1, title), _cell(1, ""))]
    return _table(rows + [_row("<td width='20%'></td>", _cell(2, value)) for value in values]) + "<br />"


def _pubmed(pmid: str) -> str:
    url = f"http://www.ncbi.nlm.nih.gov/pubmed?term=PMID: {pmid}"
    return f"<a href='{url}' target='_blank'> <font class='font13'>{pmid}</font></a>"


def _naming(item: NeuronType) -> str:
    name = [
        _row("<td></td>", "<td><font color='#FF0000'>* indicates new v2.0 neuron type</font></td>"),
        _row(_cell(1, "Name"), _cell(1, ""), _cell(1, "Supertype (ID:Family:Type:Subregion)")),
        _row("<td></td>", _cell(2, escape(item["name"])), _cell(2, escape(item["supertype"]))),
    ]
    derivation = _headed("Name derivation", [escape(item["derivation"])])
    return _table(name) + derivation + _headed("Synonym(s)", map(escape, item.get("synonyms", ())))


def _paper(paper: Mapping[str, Any], pages: str) -> str:
    book = "isbn" in paper
    number = (
        f"<strong>ISBN: </strong><a href='http://www.worldcat.org/isbn/{paper['isbn']}'>{paper['isbn']}</a>"
        if book
        else f"<strong>PMID: </strong>{_pubmed(paper['pmid'])}"
    )
    doi = f"; DOI: {escape(paper['doi'])} " if "doi" in paper else ""
    people = ", ".join(
        f"<a href='find_author.php?name_author={escape(name)}'><font clont13'> {escape(name)}</font></a>"
        for name in paper["authors"]
    )
    return (
        f"<font color='#000000'><strong>{escape(paper['title'])}</strong></font><br/> {people}.<br/>\n"
        f"{escape(paper['journal'])},\n{paper['date']}, {paper.get('volume', '')},\n"
        f"{pages}: {paper['pages']} <br/>\n{number}{doi}<br/>"
    )


def _articles(item: NeuronType) -> str:
    """Articles stand in one cell, each in a `div` of the class that cells of values have."""
    blocks = [
        f"<em class='for_accordion'>{escape(paper['authors'][0])} &nbsp;({paper['date'][:4]})</em>"
        f"<div class='table_neuron_page2'> {_paper(paper, 'Pages')}"
        f"<strong>Tags:</strong>  {', '.join(paper.get('tags', ['morphology']))} <br/></div>"
        for paper in item["articles"]
    ]
    listed = f"<div id='accordion' align='left' class='table_neuron_page2'>{''.join(blocks)}</div>"
    return _section("List of articles") + _table([_row("<td></td>", _cell(1, listed))]) + "<br />"


def _supplement(item: NeuronType) -> str:
    pmids = item.get("supplemental_pmids", ())
    links = "".join(f"<li>{_pubmed(pmid)}</li>" for pmid in pmids)
    supplement = _headed("Supplemental PMIDs", [f'<div id="accordion" align="left"<ul>{links}</ul></div>'])
    return (supplement if pmids else "") + _STRAY


def _morphology(item: NeuronType) -> str:
    tables = [_section("Morphology")]
    for key, (title, colour) in _PARTS.items():
        links = [
            f"<a href='property_page_morphology.php?id_neuron={item['id']}"
            f"&val_property={place.replace(':', '_')}&color={colour}&page=1'>"
            f"<font class='font4'> {place} </font></a>"
            for place in item.get(key, ())
        ]
        tables.append(_headed(title, links))
    return "".join(tables)


def _figure(item: NeuronType) -> str:
    figure = item.get("figure")
    if figure is None:
        return ""
    paper = item["articles"][figure["article"]]
    image = f"attachment/morph/{figure['file']}"
    picture = f"<a href='{image}' rel='lightbox'><img src='{image}' border='2' width='30%'></a>"
    return (
        _section("Representative figure")
        + _table([_row("<td></td>", _cell(2, _paper(paper, "pages")))])
        + f"<table><tr><td align='center'><br />{picture}<br></td></tr></table><br />"
    )


def _markers(item: NeuronType) -> str:
    tables = [_section("Molecular markers")]
    for sign, title in (("positive", "Positive"), ("negative", "Negative"), ("mixed", "Mixed expression")):
        values = [
            f'<a href="property_page_markers.php?id_neuron={item["id"]}&val_property={escape(name)}'
            f"&color={sign}&page=markers\" class='font4'>\n"
            f" {escape(name)}{f' ({escape(note)})' if note else ''}\n</a>"
            for name, note in item["markers"].get(sign, ())
        ]
        tables.append(_headed(title, values or [_NONE_KNOWN]))
    return "".join(tables)


def _electrophysiology(item: NeuronType) -> str:
    values = [
        f"<strong>{name} ({label}):</strong> <a href='property_page_ephys.php?id_neuron={item['id']}"
        f"&page=1' class='font4'>{_units(text)}</a>"
        for name, label, text in item.get("electrophysiology", ())
    ]
    rows = [_row("<td></td>", _cell(2, value)) for value in [_KEY, *values]]
    notes = item.get("notes")
    tail = _section("Notes") + _table([_row("<td></td>", _cell(2, escape(notes)))]) if notes else ""
    return _section("Electrophysiological properties") + _table(rows) + "<br />" + tail


def _units(text: str) -> str:
    for plain, entity in {"±": "&plusmn;", **_UNITS}.items():
        text = text.replace(plain, entity)
    return text


def _firing(item: NeuronType) -> str:
    patterns = item.get("firing_patterns", ())
    images = [
        f"<a href='attachment/fp/{name}'><img src='attachment/fp/{name}' border='1' /></a>"
        for name in item.get("firing_images", ())
    ]
    rows = [_row(_cell(1, "Parameters"), _cell(1, ""), _cell(1, "View page"))]
    rows += [
        _row(
            "<td></td>",
            _cell(2, pattern),
            _cell(
                2,
                f"<a href='property_page_fp.php?parameter={pattern}'> [Evidence] </a>"
                f"<a href='neuron_by_pattern.php?pattern={pattern}'> [Firing Pattern] </a>",
            ),
        )
        for pattern in patterns
    ]
    shown = "".join(images) or "No image is associated with this neuron"
    return _section("Firing Pattern") + _headed("Images", [shown]) + _table(rows)


def _models(item: NeuronType) -> str:
    """Links to the old address of ModelDB; one model may come twice."""
    rows = [_row(_cell(1, "Model Accession Number"), _cell(1, "PubMed ID"))]
    rows += [
        _row(
            _cell(2, f"<a href='http://modeldb.yale.edu/{number}' target='_blank'> {number} </a>"),
            _cell(2, f"<a href='http://www.ncbi.nlm.nih.gov/pubmed?term=PMID:%{pmid}'> {pmid} </a>"),
        )
        for number, pmid in item.get("models", ())
    ]
    return _section("") + _section("ModelDB Model") + _table(rows)


def _partners(title: str, word: str, item: NeuronType, known: Iterable[NeuronType]) -> str:
    columns = {
        f"Known {word}": [(one["nickname"], one["neurotransmitter"]) for one in known],
        f"Potential {word}": item.get(f"potential_{word}", ()),
        f"Potential {word} known to be avoided": item.get(f"avoided_{word}", ()),
    }
    inner = []
    for heading, partners in columns.items():
        rows = [
            f"<tr><td width='20%' align='right'/>{_cell(2, _partner(name, sign))}</tr>"
            for name, sign in partners
        ]
        inner.append(f"<td width='33%'>{_section(heading)}{_table(rows)}</br></td>")
    return _section(title) + f"<table width='80%'><tr valign=\"top\">{''.join(inner)}</tr></table>"


def _partner(name: str, sign: str) -> str:
    font = "font10a" if sign == "excitatory" else "font11"
    return f'<a href="property_page_connectivity.php?page=1" class={font} target="_blank">{escape(name)}</a>'
