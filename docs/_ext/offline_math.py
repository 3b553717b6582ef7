"""Equations as MathML, which browsers draw without a script and without a network."""

import re
from html import escape

from docutils import nodes
from latex2mathml.converter import convert


def to_mathml(text, display):
    """Return the MathML of a formula in TeX."""
    text = re.sub(r"\\label\{[^}]*\}", "", text).strip()
    return convert(text, display=display)


def visit_inline(writer, node):
    """Write a formula within a line."""
    formula = to_mathml(node.astext(), "inline")
    writer.body.append(f'<span class="math">{formula}</span>')
    raise nodes.SkipNode


def visit_block(writer, node):
    """Write a formula on lines of its own."""
    text = node.astext()
    label = node.get("label")
    writer.body.append(writer.starttag(node, "div", CLASS="math-block"))
    number = node.get("number")
    if label and number:
        writer.body.append(f'<span class="eqno">({escape(str(number))})</span>')
    writer.body.append(to_mathml(text, "block"))
    writer.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Add the renderer."""
    nothing = (lambda writer, node: None,)
    app.add_html_math_renderer(
        "mathml", (visit_inline, *nothing), (visit_block, *nothing)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
