"""Sealed objects: only the right key opens them, and only under their own name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_runtime.sealing import Keyring, Seal, SealError, UnknownKey, is_sealed

ROOT = "r" * 32
ACCOUNT = "111122223333"
OTHER = "444455556666"
OURS = Seal(ACCOUNT)


@given(st.binary(max_size=5000), st.text(min_size=1, max_size=50))
def test_what_is_sealed_can_be_opened(data: bytes, name: str) -> None:
    sealed = Keyring([ROOT]).seal(data, OURS, name)
    assert is_sealed(sealed)
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


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(SealError):
        Keyring([ROOT]).open(b"VGS1" + data, "b/k")


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
