"""Sealed objects: only the right key opens them, and only under their own name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from vigia_runtime import sealing
from vigia_runtime.sealing import Keyring, Seal, SealError, UnknownKey, is_sealed, most_sealed

_TAG = 16

ROOT = "r" * 32
ACCOUNT = "111122223333"
OTHER = "444455556666"
OURS = Seal(ACCOUNT)


@given(st.binary(max_size=5000), st.text(min_size=1, max_size=50))
def test_what_is_sealed_can_be_opened(data: bytes, name: str) -> None:
    sealed = Keyring([ROOT]).seal(data, OURS, name)
    assert is_sealed(sealed)
    assert len(sealed) <= most_sealed(len(data))
    assert Keyring([ROOT]).open(sealed, name) == data
    assert len(data) < 16 or data not in sealed


@given(st.binary(min_size=1, max_size=300), st.data())
def test_no_byte_can_be_changed(data: bytes, choose: st.DataObject) -> None:
    ring = Keyring([ROOT])
    sealed = bytearray(ring.seal(data, OURS, "b/k"))
    at = choose.draw(st.integers(4, len(sealed) - 1))
    sealed[at] ^= choose.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        ring.open(bytes(sealed), "b/k")


@given(st.sampled_from([b"VGS1", b"VGS2"]), st.binary(max_size=200))
def test_garbage_is_refused(magic: bytes, data: bytes) -> None:
    with pytest.raises(SealError):
        Keyring([ROOT]).open(magic + data, "b/k")


@pytest.fixture(scope="module")
def small_pieces() -> Iterator[int]:
    """Bytes of a piece, so few that small objects have several."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "_PIECE", 32)
        yield 32


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 700), max_size=6), name=st.text(max_size=20))
def test_what_passes_by_is_sealed_and_opened(small_pieces: int, data: bytes, cuts: Sequence[int], name: str) -> None:
    ring = Keyring([ROOT])
    into = ring.sealing(OURS, name)
    sealed = b"".join([*(into.update(part) for part in _cut(data, cuts)), into.finalize()])
    assert ring.open(sealed, name) == data
    assert len(sealed) <= most_sealed(len(data))
    out = ring.opening(name)
    assert b"".join([*(out.update(part) for part in _cut(sealed, cuts)), out.finalize()]) == data


@given(st.binary(min_size=33, max_size=200), st.data())
def test_pieces_are_not_lost_and_keep_their_places(small_pieces: int, data: bytes, choose: st.DataObject) -> None:
    ring = Keyring([ROOT])
    sealed = ring.seal(data, OURS, "b/k")
    start = 6 + int.from_bytes(sealed[4:6], "big")
    step = small_pieces + _TAG
    pieces = [sealed[at : at + step] for at in range(start, len(sealed), step)]
    wrong = choose.draw(st.permutations(pieces) | st.lists(st.sampled_from(pieces), max_size=len(pieces) + 1))
    if list(wrong) != pieces:
        with pytest.raises(SealError):
            ring.open(sealed[:start] + b"".join(wrong), "b/k")


def test_an_object_is_cut_nowhere() -> None:
    ring = Keyring([ROOT])
    sealed = ring.seal(b"part", OURS, "b/k")
    for end in range(4, len(sealed)):
        with pytest.raises(SealError):
            ring.open(sealed[:end], "b/k")


def test_what_was_sealed_as_one_piece_still_opens() -> None:
    ring = Keyring([ROOT])
    head = json.loads(ring.seal(b"", OURS, "b/k")[6:].partition(b"}")[0] + b"}")
    nonce = bytes(range(12))
    text = json.dumps({**head, "nonce": base64.b64encode(nonce).decode()}).encode()
    # The data key of a head is the same for either.
    cipher = ring._data_key(head)
    assert isinstance(cipher, AESGCM)
    data = b"part" * 1_000_000
    sealed = b"VGS1" + len(text).to_bytes(2, "big") + text + cipher.encrypt(nonce, data, text + b"b/k")
    assert is_sealed(sealed)
    assert ring.open(sealed, "b/k") == data
    with pytest.raises(SealError):
        ring.open(sealed, "b/other")


def _cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start <= end]


def test_one_name_and_one_installation() -> None:
    sealed = Keyring([ROOT]).seal(b"part", OURS, "b/k")
    with pytest.raises(SealError, match="under this name"):
        Keyring([ROOT]).open(sealed, "b/other")
    with pytest.raises(SealError):
        Keyring(["s" * 32]).open(sealed, "b/k")


def test_accounts_have_keys_of_their_own() -> None:
    ring = Keyring([ROOT])
    ours, theirs = ring.seal(b"part", OURS, "b/k"), ring.seal(b"part", Seal(OTHER), "b/k")
    with pytest.raises(SealError):
        ring.open(ours.replace(ACCOUNT.encode(), OTHER.encode()), "b/k")
    assert ring.open(theirs, "b/k") == b"part"


def test_a_new_root_key_seals_and_the_old_one_still_opens() -> None:
    before = Keyring([ROOT]).seal(b"part", OURS, "b/k")
    both = Keyring(["n" * 32, ROOT])
    assert both.open(before, "b/k") == b"part"
    after = both.seal(b"part", OURS, "b/k")
    assert Keyring(["n" * 32]).open(after, "b/k") == b"part"
    with pytest.raises(SealError):
        Keyring([ROOT]).open(after, "b/k")


@pytest.mark.parametrize(
    "key_id",
    ["prod", "alias/prod", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/prod", f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/prod"],
)
def test_a_named_key_by_each_of_its_names(tmp_path: Path, key_id: str) -> None:
    (tmp_path / f"{ACCOUNT}.prod").write_text("k" * 44 + "\n")
    ring = Keyring([ROOT], tmp_path)
    seal = Seal(ACCOUNT, key_id)
    ring.check(seal)
    sealed = ring.seal(b"part", seal, "b/k")
    assert ring.open(sealed, "b/k") == b"part"
    (tmp_path / f"{ACCOUNT}.prod").unlink()
    with pytest.raises(SealError, match="prod"):
        ring.open(sealed, "b/k")


@pytest.mark.parametrize(
    "key_id", ["nope", "../prod", "", "alias/", f"arn:aws:kms:us-east-1:{OTHER}:key/prod", "short", "a.b"]
)
def test_keys_that_an_account_does_not_have(tmp_path: Path, key_id: str) -> None:
    (tmp_path / f"{OTHER}.prod").write_text("k" * 44)
    (tmp_path / "prod").write_text("k" * 44)
    (tmp_path / f"{ACCOUNT}.short").write_text("k" * 31)
    for ring in (Keyring([ROOT], tmp_path), Keyring([ROOT])):
        with pytest.raises(UnknownKey):
            ring.check(Seal(ACCOUNT, key_id))


def test_a_root_key_must_be_long() -> None:
    with pytest.raises(ValueError, match="32"):
        Keyring(["short"])
