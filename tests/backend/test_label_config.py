"""Label configs: what is read from them, and what is said of those that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from backend.errors import LabelConfigError
from backend.labeling.label_config import parse_label_config, task_text
from steps import grows_linearly

PLAIN = """
<View>
  <Header value="Mark the things"/>
  <Labels name="label" toName="text">
    <Label value="Material" hint="a substance" background="#ff0000"/>
    <Label value="Amount"/>
  </Labels>
  <Text name="text" value="$text"/>
</View>
"""

PARAGRAPHS = """
<View>
  <ParagraphLabels name="who" toName="talk"><Label value="Person"/></ParagraphLabels>
  <Paragraphs name="talk" value="$dialogue" textKey="says" nameKey="by"/>
</View>
"""


def text_config(value: str, **attributes: str) -> str:
    extra = " ".join(f'{name}="{content}"' for name, content in attributes.items())
    return (
        '<View><Labels name="l" toName="t"><Label value="A"/></Labels>'
        f'<Text name="t" value="{value}" {extra}/></View>'
    )


def test_labels_hints_and_names_of_a_plain_config() -> None:
    interface = parse_label_config(PLAIN)
    assert interface.labels == ("Material", "Amount")
    assert interface.hints == {"Material": "a substance"}
    assert interface.from_name == {"Material": "label", "Amount": "label"}
    assert (interface.to_name, interface.kind, interface.key) == ("text", "text", "text")
    assert interface.relation_labels is None
    assert not interface.text_from_url


def test_several_label_tags_over_the_same_text_each_keep_their_name() -> None:
    interface = parse_label_config(
        """<View>
        <Labels name="parts" toName="t"><Label value="A"/><Label value="B"/></Labels>
        <Labels name="other" toName="elsewhere"><Label value="X"/></Labels>
        <View><Labels name="roles" toName="t">
          <View><Label value="C"/></View><Label value="A"/>
        </Labels></View>
        <Text name="t" value="$text"/></View>"""
    )
    assert interface.from_name == {"A": "parts", "B": "parts", "C": "roles"}


def test_an_alias_is_what_results_store_and_the_shown_name_becomes_the_hint() -> None:
    interface = parse_label_config(
        '<View><Labels name="l" toName="t"><Label value="Chemical compound" alias="CHEM"/></Labels>'
        '<Text name="t" value="$text"/></View>'
    )
    assert interface.labels == ("CHEM",)
    assert interface.hints == {"CHEM": "Chemical compound"}
    assert interface.shown == {"Chemical compound": "CHEM"}


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ("", None),
        ("<Relations/>", ()),
        ('<Relations><Relation value="has"/><Relation value="of"/></Relations>', ("has", "of")),
    ],
)
def test_relations(relations: str, expected: tuple[str, ...] | None) -> None:
    config = text_config("$text").replace("<View>", f"<View>{relations}")
    assert parse_label_config(config).relation_labels == expected


def test_tags_and_attributes_are_read_in_any_case() -> None:
    interface = parse_label_config(text_config("$text", valuetype="url"))
    assert interface.text_from_url
    assert parse_label_config(text_config("$text", valueType="url")) == interface


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "no label config"),
        ("<View><Labels", "not valid XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>', "not valid XML"),
        ("<View></View>", "found: nothing"),
        ('<View><Text name="t" value="$text"/></View>', "found: Text"),
        (
            '<View><Image name="i" value="$i"/><RectangleLabels name="l" toName="i">'
            '<Label value="A"/></RectangleLabels></View>',
            "found: Image, RectangleLabels",
        ),
        (
            '<View><HyperText name="h" value="$h"/>'
            '<Labels name="l" toName="h"><Label value="A"/></Labels></View>',
            "found: HyperText, Labels",
        ),
        (text_config("$text").replace('<Label value="A"/>', ""), "no <Label"),
        (text_config("$title: $text"), "one value of the task"),
        (text_config("fixed words"), "one value of the task"),
        (text_config("$text", encoding="base64"), "encoded"),
    ],
)
def test_an_unusable_config_says_what_to_do(config: str, words: str) -> None:
    with pytest.raises(LabelConfigError) as caught:
        parse_label_config(config)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("$text", {"text": "a b"}, "a b"),
        ("$a.b", {"a": {"b": "nested"}}, "nested"),
        ("$a.b", {"a.b": "flat", "a": {"b": "nested"}}, "flat"),
        ("$a[1].b", {"a": [{}, {"b": "second"}]}, "second"),
        ("$number", {"number": 7}, "7"),
        ("$empty", {"empty": ""}, ""),
    ],
)
def test_the_text_of_a_task(value: str, data: dict[str, object], text: str) -> None:
    assert task_text(parse_label_config(text_config(value)), data) == text


@pytest.mark.parametrize("data", [{}, {"text": None}, {"text": ["a"]}, {"text": True}])
def test_a_task_without_its_text_is_named_without_its_contents(data: dict[str, object]) -> None:
    with pytest.raises(LabelConfigError, match="'text'"):
        task_text(parse_label_config(PLAIN), data)


def test_paragraphs_become_lines() -> None:
    interface = parse_label_config(PARAGRAPHS)
    assert (interface.kind, interface.text_key, interface.result_type) == (
        "paragraphs",
        "says",
        "paragraphlabels",
    )
    talk = [{"by": "A", "says": "Hello\nthere"}, {"by": "B"}, {"by": "A", "says": "bye"}]
    assert task_text(interface, {"dialogue": talk}) == "Hello there\n\nbye"


@pytest.mark.parametrize("dialogue", ["text", [1], {"says": "x"}])
def test_paragraphs_of_another_shape_are_refused(dialogue: object) -> None:
    with pytest.raises(LabelConfigError, match='"says"'):
        task_text(parse_label_config(PARAGRAPHS), {"dialogue": dialogue})


def test_a_text_behind_an_address_is_fetched() -> None:
    interface = parse_label_config(text_config("$text", valueType="url"))
    served = {"/data/upload/1/a.txt": "the text"}
    assert task_text(interface, {"text": "/data/upload/1/a.txt"}, fetch=served.__getitem__) == "the text"
    with pytest.raises(LabelConfigError, match="address"):
        task_text(interface, {"text": "/data/upload/1/a.txt"})


def test_paragraphs_behind_an_address_are_json() -> None:
    interface = parse_label_config(PARAGRAPHS.replace("textKey", 'valueType="url" textKey'))
    content = json.dumps([{"says": "a"}, {"says": "b"}])
    assert task_text(interface, {"dialogue": "/data/x.json"}, fetch=lambda _: content) == "a\nb"
    with pytest.raises(LabelConfigError, match="not JSON"):
        task_text(interface, {"dialogue": "/data/x.json"}, fetch=lambda _: "a\nb")


@pytest.mark.parametrize("labels", [("City ", " Person"), (" a  b ", "ä"), ("x", "x ")])
def test_names_of_labels_are_kept_as_they_are_written(labels: tuple[str, ...]) -> None:
    items = "".join(f'<Label value="{name}"/>' for name in labels)
    config = text_config("$text").replace('<Label value="A"/>', items)
    assert parse_label_config(config).labels == labels
    aliases = "".join(f'<Label value="shown {name}" alias="{name}"/>' for name in labels)
    config = text_config("$text").replace('<Label value="A"/>', aliases)
    interface = parse_label_config(config)
    assert interface.labels == labels
    assert interface.shown == {f"shown {name}": name for name in labels}


@pytest.mark.parametrize("key", ["技术描述", "body-text", "größe", "aé", "a..b", "a[x]", "a[٣]"])
def test_a_column_that_the_page_cannot_show_is_refused(key: str) -> None:
    with pytest.raises(LabelConfigError, match="cannot show") as caught:
        parse_label_config(text_config(f"${key}"))
    assert f"${key}" in str(caught.value)


@pytest.mark.parametrize("inside", ["", '<Label value="Person"/>'])
@pytest.mark.parametrize("kind", ["text", "paragraphs"])
def test_labels_from_the_data_are_refused_also_beside_listed_ones(inside: str, kind: str) -> None:
    config = {"text": text_config("$text"), "paragraphs": PARAGRAPHS}[kind]
    config = config.replace('name="l"', 'name="l" value="$labels"').replace(
        'name="who"', 'name="who" value="$labels"'
    )
    config = config.replace('<Label value="A"/>', inside).replace('<Label value="Person"/>', inside)
    with pytest.raises(LabelConfigError, match="labels from the task's data"):
        parse_label_config(config)


def test_of_two_texts_the_first_is_served_and_the_other_named() -> None:
    interface = parse_label_config(
        """<View><Text name="title" value="$title"/><Text name="body" value="$body"/>
        <Labels name="b" toName="body"><Label value="B"/></Labels>
        <Labels name="t" toName="title"><Label value="T"/></Labels></View>"""
    )
    assert (interface.to_name, interface.labels, interface.unserved) == ("title", ("T",), ("body",))


def _many_labels(number: int) -> str:
    labels = "".join(f'<Label value="L{i}"/>' for i in range(number))
    return text_config("$text").replace('<Label value="A"/>', labels)


def _many_texts(number: int) -> str:
    pairs = (
        f'<Text name="t{i}" value="$t"/><Labels name="l{i}" toName="t{i}"><Label value="A"/></Labels>'
        for i in range(number)
    )
    return f"<View>{''.join(pairs)}</View>"


def _texts_without_labels(number: int) -> str:
    return text_config("$text").replace("<View>", "<View>" + '<Text name="x" value="$x"/>' * number)


def _controls_of_one_text(number: int) -> str:
    return text_config("$text").replace(
        "<View>", "<View>" + '<Labels name="m" toName="t"><Label value="B"/></Labels>' * number
    )


def _nested(number: int) -> str:
    opened = '<Labels name="m" toName="t"><Label value="B"/>' * number
    return text_config("$text").replace("<View>", f"<View>{opened}{'</Labels>' * number}")


@pytest.mark.parametrize(
    "config", [_many_labels, _many_texts, _texts_without_labels, _controls_of_one_text, _nested]
)
def test_large_configs_are_read_in_linear_time(config: Callable[[int], str]) -> None:
    def make(size: int) -> Callable[[], object]:
        content = config(size)
        return lambda: parse_label_config(content)

    assert grows_linearly(make)


def test_the_size_of_a_text_is_looked_at_before_its_characters() -> None:
    half_of_a_pair_at_the_end = "a" * 1_000_001 + "\ud800"
    with pytest.raises(LabelConfigError, match="1,000,002 characters"):
        task_text(parse_label_config(PLAIN), {"text": half_of_a_pair_at_the_end})
    talk = [{"says": "a" * 999_999}, {"says": "b"}]
    with pytest.raises(LabelConfigError, match="1,000,001 characters"):
        task_text(parse_label_config(PARAGRAPHS), {"dialogue": talk})


@pytest.mark.parametrize("says", [["a"], {"a": 1}])
def test_a_paragraph_that_is_no_text_is_refused(says: object) -> None:
    with pytest.raises(LabelConfigError, match="'says'"):
        task_text(parse_label_config(PARAGRAPHS), {"dialogue": [{"says": says}]})
