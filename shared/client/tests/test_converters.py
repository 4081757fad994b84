"""Manifests made of CSV, COCO and multi-label jobs: field by field what the guide's scripts write, or a named error."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from vigia_client.cli import app
from vigia_client.converters import coco, multilabel, table
from vigia_client.converters.output import ConversionError
from vigia_client.errors import ActionableError

from .conftest import Installation

FLOWERS = "camellia1.jpg,camellia,with_leaves\n\nhelleborus1.jpg,helleborus,,not_fully_grown\n,,\nbare.jpg\n"
FOLDER = "s3://bucket/flowers/train/"


def lines(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def convert(*arguments: object) -> Result:
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["convert", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


# --- CSV --------------------------------------------------------------------------------------------------------------


def test_rows_become_lines_of_image_level_labels(tmp_path: Path) -> None:
    source = tmp_path / "flowers.v1.csv"
    source.write_text(FLOWERS)
    done = convert("csv", source, "--s3-path", FOLDER)
    assert done.exit_code == 0, done.output
    assert "3 images, 4 labels, 1 images without a label" in done.output
    first, second, bare = lines(tmp_path / "flowers.v1.manifest")
    when = first["camellia-metadata"].pop("creation-date")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", when)
    assert list(first) == ["source-ref", "camellia", "camellia-metadata", "with_leaves", "with_leaves-metadata"]
    assert first["source-ref"] == f"{FOLDER}camellia1.jpg"
    assert first["camellia"] == 1
    assert first["camellia-metadata"] == {
        "confidence": 1,
        "job-name": "labeling-job/camellia",
        "class-name": "camellia",
        "human-annotated": "yes",
        "type": "groundtruth/image-classification",
    }
    assert list(second) == ["source-ref", "helleborus", "helleborus-metadata", "not_fully_grown",
                            "not_fully_grown-metadata"]  # fmt: skip
    assert bare == {"source-ref": f"{FOLDER}bare.jpg"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flowers.v1.csv", "flowers.v1.manifest"]


def test_whole_addresses_need_no_folder_and_the_output_has_its_place(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes("\ufeffs3://b/año 1.jpg,|with, comma|\r\n".encode())
    told = table.convert(source, tmp_path / "out.jsonl")
    assert told.manifest == tmp_path / "out.jsonl"
    [line] = lines(told.manifest)
    assert (line["source-ref"], line["with, comma"]) == ("s3://b/año 1.jpg", 1)


def test_images_that_are_there_twice_make_two_files_and_no_manifest(tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_text("a.jpg,one\nb.jpg,|two, with comma|\na.jpg,two\na.jpg,three\n")
    old = tmp_path / "x.manifest"
    old.write_text("made before\n")
    done = convert("csv", source, "--s3-path", FOLDER)
    assert done.exit_code == 1
    assert "x-duplicates.csv" in done.output
    deduplicated = tmp_path / "x-deduplicated.csv"
    assert deduplicated.read_bytes() == b"a.jpg,one\r\nb.jpg,|two, with comma|\r\n"
    assert (tmp_path / "x-duplicates.csv").read_bytes() == b"a.jpg,two\r\na.jpg,three\r\n"
    assert old.read_text() == "made before\n"
    # The corrected file is input like any other; once the source is right, nothing is left of its two files.
    assert convert("csv", deduplicated, "--s3-path", FOLDER).exit_code == 0
    assert [line["source-ref"][-5:] for line in lines(tmp_path / "x-deduplicated.manifest")] == ["a.jpg", "b.jpg"]
    source.write_text("a.jpg,one\n")
    assert convert("csv", source, "--s3-path", FOLDER).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-deduplicated.manifest", "x.csv", "x.manifest"]


@pytest.mark.parametrize(
    ("content", "s3_path", "said"),
    [
        (b"s3://b/a.jpg,one\nb.jpg,two\n", None, "line 2, column 1: b.jpg is no s3:// address"),
        (b"a.jpg,one\ns3://b/b.jpg,two\n", FOLDER, "line 2, column 1: s3://b/b.jpg is a whole address"),
        (b"a.jpg,one\n\n,two\n", FOLDER, "line 3, column 1: '' is no image's name"),
        (b"a.jpg,ok,caf\xe9\n", FOLDER, "line 1, column 3: not UTF-8"),
        (b'a.jpg,"one, two"\n', FOLDER, 'line 1, column 2: quotes are |, not "'),
        (b"a.jpg,|one\n", FOLDER, "line 1: unexpected end of data"),
        (b"a.jpg,source-ref\n", FOLDER, "line 1, column 2: source-ref would be mixed up"),
        (b"a.jpg,x,x-metadata\n", FOLDER, "line 1, column 3: x-metadata would be mixed up"),
        (b"a.jpg,x-metadata,x\n", FOLDER, "line 1, column 3: x would be mixed up"),
        (b"a.jpg," + b"x" * 257 + b"\n", FOLDER, "line 1, column 2: the label has 257 characters"),
        (b"a.jpg,a\tb\n", FOLDER, "line 1, column 2: 'a\\tb' has a control character"),
        (b"a.jpg\n", "bucket/folder", "bucket/folder: the folder of the images is written s3://"),
        (b"s3://bucket,one\n", None, "line 1, column 1: s3://bucket names no object"),
        (b"\n,,\n", FOLDER, "has no row with an image"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named_and_nothing_is_made(
    tmp_path: Path, content: bytes, s3_path: str | None, said: str
) -> None:
    source = tmp_path / "x.csv"
    source.write_bytes(content)
    with pytest.raises(ConversionError, match=re.escape(said)):
        table.convert(source, None, s3_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


CELL = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and not text.startswith(('"', "s3://")) and not text.endswith("-metadata")
    and text != "source-ref"
)  # fmt: skip


@given(st.dictionaries(CELL, st.lists(CELL | st.just(""), max_size=4), min_size=1, max_size=5))
def test_every_row_is_a_line_with_its_labels(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    with (folder / "x.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quotechar="|").writerows([name, *labels] for name, labels in rows.items())
    told = table.convert(folder / "x.csv", None, FOLDER)
    made = lines(folder / "x.manifest")
    assert {line["source-ref"].removeprefix(FOLDER): [k for k in line if k != "source-ref"][::2] for line in made} == {
        name: list(dict.fromkeys(label for label in labels if label)) for name, labels in rows.items()
    }
    assert (told.images, told.labels) == (len(rows), sum(len([x for x in row if x]) for row in rows.values()))


# --- COCO -------------------------------------------------------------------------------------------------------------


def image(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, "width": 640, "height": 480, "file_name": f"{number}.jpg",
            "date_captured": "2013-11-18 02:53:27", **fields}  # fmt: skip


def box(image_id: int, category: int, bbox: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": category, "bbox": bbox, "segmentation": [[1, 2]]}


def document(**fields: Any) -> dict[str, Any]:
    return {
        "images": [image(7), image(8), image(9)],
        "annotations": [box(8, 1, [19.23, 383.18, 314.5, 24.46]), box(7, 0, [399, 251, 155, 101]),
                        box(8, 0, [1, 2, 3, 4])],
        "categories": [{"id": 0, "name": "echo"}, {"id": 1, "name": "echo dot"}],
        **fields,
    }  # fmt: skip


def test_boxes_of_coco_become_lines_with_their_own_classes(tmp_path: Path) -> None:
    source = tmp_path / "boards.json"
    source.write_text(json.dumps(document()))
    done = convert("coco", source, "--s3-path", "s3://bucket/images", "--job-name", "my job")
    assert done.exit_code == 0, done.output
    assert "3 images, 3 boxes, 2 categories, 1 images without a box" in done.output
    seven, eight, nine = lines(tmp_path / "boards.manifest")
    size = [{"width": 640, "depth": 3, "height": 480}]
    metadata = {"job-name": "my job", "human-annotated": "yes", "creation-date": "2013-11-18T02:53:27",
                "type": "groundtruth/object-detection"}  # fmt: skip
    assert seven == {
        "source-ref": "s3://bucket/images/7.jpg",
        "bounding-box": {
            "annotations": [{"left": 399, "top": 251, "width": 155, "height": 101, "class_id": 0}],
            "image_size": size,
        },
        "bounding-box-metadata": {**metadata, "class-map": {"0": "echo"}, "objects": [{"confidence": 1}]},
    }
    assert eight["bounding-box"]["annotations"] == [
        {"left": 19.23, "top": 383.18, "width": 314.5, "height": 24.46, "class_id": 1},
        {"left": 1, "top": 2, "width": 3, "height": 4, "class_id": 0},
    ]
    assert eight["bounding-box-metadata"] == {
        **metadata, "class-map": {"0": "echo", "1": "echo dot"}, "objects": [{"confidence": 1}, {"confidence": 1}],
    }  # fmt: skip
    assert nine["bounding-box"] == {"annotations": [], "image_size": size}
    assert nine["bounding-box-metadata"] == {**metadata, "class-map": {}, "objects": []}


def test_images_of_coco_in_a_bucket_already_keep_their_address(tmp_path: Path) -> None:
    source = tmp_path / "x.json"
    held = {"date_captured": None}
    source.write_text(json.dumps(document(images=[image(n, coco_url=f"s3://b/{n}.png", **held) for n in (7, 8)])))
    with pytest.raises(ConversionError, match=r"images\[0\]\.date_captured: missing; --captured"):
        coco.convert(source)
    told = coco.convert(source, captured="2024-05-06T07:08:09+00:00")
    first = lines(told.manifest)[0]
    assert (first["source-ref"], first["bounding-box-metadata"]["job-name"]) == ("s3://b/7.png", "x")
    assert first["bounding-box-metadata"]["creation-date"] == "2024-05-06T07:08:09"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"images": [\n  {"id": }]}', "x.json, line 2, column 10: Expecting value"),
        ("[]", "a COCO file is one JSON object"),
        ('{"images": NaN}', "NaN is no number in JSON"),
        (document(images=None), "images: a COCO file has a list of that name"),
        (document(images=[]), "images: the list is empty"),
        (document(images=[1]), "images[0]: not an object"),
        (document(images=[image(7), image(7)]), "images[1].id: 7 is another image's too"),
        (document(images=[image(7), image(8, file_name="7.jpg")]), "images[1]: s3://bucket/flowers/train/7.jpg is"),
        (document(images=[image(7, width="640")]), "images[0].width: not a whole number"),
        (document(images=[image(7, height=0)]), "images[0].height: 0 pixels"),
        (document(images=[image(7, file_name=" ")]), "images[0].file_name: the image's name is missing"),
        (document(images=[image(7, date_captured="soon")]), "images[0].date_captured: 'soon' is no time"),
        (document(categories=[{"id": 0, "name": ""}]), "categories[0].name: a label's name"),
        (document(categories=[{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]), "categories[1].id: 0 is another"),
        (document(annotations=[box(1, 0, [1, 2, 3, 4])]), "annotations[0].image_id: there is no image 1"),
        (document(annotations=[box(7, 5, [1, 2, 3, 4])]), "annotations[0].category_id: there is no category 5"),
        (document(annotations=[box(7, 0, [1, 2, 3])]), "annotations[0].bbox: not the four numbers"),
        (document(annotations=[box(7, 0, [1, 2, True, 4])]), "annotations[0].bbox: not the four numbers"),
        (document(annotations=[box(7, 0, [1, 2, 0, 4])]), "annotations[0].bbox: 0 by 4 pixels"),
    ],
)
def test_what_is_wrong_in_coco_is_named_and_nothing_is_made(tmp_path: Path, content: Any, said: str) -> None:
    source = tmp_path / "x.json"
    source.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConversionError, match=re.escape(said)):
        coco.convert(source, None, FOLDER)
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


NUMBER = st.integers(1, 4000) | st.floats(0.01, 4000)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.tuples(NUMBER, NUMBER, NUMBER, NUMBER)), max_size=9))
def test_every_box_is_in_its_image_with_its_class_and_its_numbers(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("coco")
    names = {0: "a", 1: "b", 2: "c"}
    (folder / "x.json").write_text(
        json.dumps(
            {
                "images": [image(number) for number in range(4)],
                "annotations": [box(number, category, list(bbox)) for number, category, bbox in boxes],
                "categories": [{"id": key, "name": name} for key, name in names.items()],
            }
        )
    )
    coco.convert(folder / "x.json", None, FOLDER)
    for number, line in enumerate(lines(folder / "x.manifest")):
        held, metadata = line["bounding-box"]["annotations"], line["bounding-box-metadata"]
        of_image = [(category, bbox) for where, category, bbox in boxes if where == number]
        assert [(b["class_id"], (b["left"], b["top"], b["width"], b["height"])) for b in held] == of_image
        assert metadata["class-map"] == {str(category): names[category] for category, _ in of_image}
        assert len(metadata["objects"]) == len(held)


# --- multi-label ------------------------------------------------------------------------------------------------------


def job_line(ref: str, labels: list[int], job: str = "game", **more: Any) -> str:
    metadata = {
        "job-name": "labeling-job/game",
        "class-map": {str(label): f"class {label}" for label in labels},
        "human-annotated": "yes",
        "creation-date": "2020-01-02T03:04:05.678",
        "confidence-map": {str(label): 0.5 + label / 100 for label in labels},
        "type": "groundtruth/image-classification-multilabel",
    }
    return json.dumps({"source-ref": ref, job: labels, f"{job}-metadata": metadata, **more})


def test_a_multi_label_job_becomes_a_label_for_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in" / "output.manifest"
    source.parent.mkdir()
    source.write_text(job_line("s3://b/1.jpg", [3, 1]) + "\n\n" + job_line("s3://b/2.jpg", []))
    monkeypatch.chdir(tmp_path)
    done = convert("multilabel", source)
    assert done.exit_code == 0, done.output
    assert "2 images, 2 labels, 1 images without a label" in done.output
    common = {"type": "groundtruth/image-classification", "job-name": "labeling-job/game", "human-annotated": "yes",
              "creation-date": "2020-01-02T03:04:05.678"}  # fmt: skip
    assert lines(tmp_path / "custom_labels_output.manifest") == [
        {
            "source-ref": "s3://b/1.jpg",
            "game0": 0,
            "game0-metadata": {"class-name": "class 3", "confidence": 0.53, **common},
            "game1": 1,
            "game1-metadata": {"class-name": "class 1", "confidence": 0.51, **common},
        },
        {"source-ref": "s3://b/2.jpg"},
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"source-ref": ', "line 2, column 16: Expecting value"),
        (b"\xff\xfe{}", "line 2, byte 1: not UTF-8"),
        ("[]", "line 2: not a JSON object"),
        ('{"game": [1]}', "line 2: source-ref is missing"),
        ('{"source-ref": "s3://b/1.jpg"}', "line 2: no job's labels"),
        ('{"source-ref": "s3://b/1.jpg", "game": [1], "game-metadata": {}}', "has no class-map or no confidence-map"),
        ('{"source-ref": "s3://b/1.jpg", "game": 1, "game-metadata": {}}', "line 2: game is no list of classes"),
        (job_line("s3://b/1.jpg", [1], other=[2], **{"other-metadata": {}}), "of several jobs: game, other"),
        (job_line("s3://b/1.jpg", [1]).replace("[1]", "[2]"), "line 2: game[0]: class 2 is not in class-map"),
        (job_line("s3://b/1.jpg", [1]).replace("creation-date", "created"), "game-metadata has no creation-date"),
        (job_line("s3://b/1.jpg", [1]).replace("0.51", "NaN"), "line 2: a number in it is none in JSON"),
        (job_line("s3://b/1.jpg", [1]).replace("class 1", " "), "line 2: game[0]: a label's name"),
    ],
)
def test_what_is_wrong_in_a_job_is_named_and_nothing_is_made(tmp_path: Path, line: str | bytes, said: str) -> None:
    source = tmp_path / "x.manifest"
    data = line if isinstance(line, bytes) else line.encode()
    source.write_bytes(job_line("s3://b/0.jpg", [1]).encode() + b"\n" + data)
    with pytest.raises(ConversionError, match=re.escape(said)):
        multilabel.convert(source, tmp_path / "out.manifest")
    assert [path.name for path in tmp_path.iterdir()] == ["x.manifest"]


def test_of_several_jobs_one_is_chosen(tmp_path: Path) -> None:
    source = tmp_path / "x.manifest"
    source.write_text(job_line("s3://b/1.jpg", [1], other=[2], **{"other-metadata": {}}))
    told = multilabel.convert(source, tmp_path / "out.manifest", "game")
    assert (told.images, told.labels) == (1, 1)


# --- upload -----------------------------------------------------------------------------------------------------------


def test_a_manifest_is_put_into_the_store(here: Installation, tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_text("a.jpg,one\n")
    bucket = here.values["VIGIA_BUCKET"]
    done = convert("csv", source, "--s3-path", f"s3://{bucket}/images", "--upload", f"s3://{bucket}/train.manifest")
    assert done.exit_code == 0, done.output
    stored = here.s3.get_object(Bucket=bucket, Key="train.manifest")["Body"].read()
    assert stored == (tmp_path / "x.manifest").read_bytes()
    assert convert("csv", source, "--s3-path", FOLDER, "--upload", f"s3://{bucket}/folder/").exit_code == 2
    with pytest.raises(ActionableError, match="NoSuchBucket"):
        convert("csv", source, "--s3-path", FOLDER, "--upload", "s3://nobody-has-it/x.manifest")
