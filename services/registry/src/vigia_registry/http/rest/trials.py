"""``/api/v1/trials``: trial detections."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vigia_registry.datasets.domain import DatasetState
from vigia_registry.http.rest.caller import Action, Answer, Cursor, Door, Limit, problems
from vigia_registry.identity.domain import Owner
from vigia_registry.models.domain import VersionName
from vigia_registry.objects import S3Rights
from vigia_registry.trials import adding, content, service, sources, verifying
from vigia_registry.trials.domain import (
    AnomalyClass,
    ImageError,
    ImageFilter,
    ImageState,
    Label,
    Order,
    Source,
    SourceKind,
    TrialImage,
    TrialRequest,
    TrialState,
    TrialView,
    Verification,
)

#: No control characters; what a database and a header can hold.
PlainText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=1100)]
Number = Annotated[int, Path(ge=1, le=100_000)]
Numbers = Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(min_length=1, max_length=10_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class FolderSource(_Body):
    """Every .jpg, .jpeg and .png whose key begins as the address says, now."""

    kind: Literal["folder"]
    uri: Uri = Field(description="s3://bucket/prefix; end a folder with a slash")


class ImagesSource(_Body):
    """Some objects of one bucket."""

    kind: Literal["images"]
    uris: list[Uri] = Field(min_length=1, max_length=10_000, description="s3://bucket/key")


class UploadSource(_Body):
    """Images that are uploaded one by one; then the trial is started."""

    kind: Literal["upload"]


class NewTrial(_Body):
    """A trial to create."""

    project: str = Field(min_length=1, max_length=255)
    model_version: str = Field(default="latest", pattern=r"^([1-9][0-9]{0,8}|latest)$")
    name: PlainText = Field(description="different from those of the project's other trials")
    source: Annotated[FolderSource | ImagesSource | UploadSource, Field(discriminator="kind")]
    kms_key_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,2048}$",
        description="a key of the account; it seals uploads and masks",
    )


class Verdict(_Body):
    """What a person says of a prediction."""

    verification: Verification
    corrected_class: AnomalyClass | None = Field(
        default=None,
        description="of an incorrect prediction; the other class where it is left out. The predicted one says that "
        "only the mask is wrong",
    )


class Verdicts(Verdict):
    """What a person says of several predictions."""

    images: Numbers


class NewLabel(_Body):
    """An anomaly label that the model does not know yet."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$", to_upper=True)]


class NewEntries(_Body):
    """What to add to the dataset."""

    images: Numbers | None = Field(
        default=None, description="numbers; without them, all that are verified and not in the dataset"
    )


class SourceItem(Answer):
    kind: SourceKind
    bucket: str
    prefix: str


class LabelItem(Answer):
    name: str
    color: str


class Counts(Answer):
    images: int
    waiting: int
    judged: int
    failed: int
    normal: int = Field(description="by prediction")
    anomaly: int = Field(description="by prediction")
    unverified: int = Field(description="judged, and not verified by a person")
    correct: int
    incorrect: int
    added: int = Field(description="in the dataset as they are verified now")


class TrialItem(Answer):
    trial_id: UUID
    project: str
    model_version: str
    name: str
    source: SourceItem
    kms_key_id: str | None
    labels: list[LabelItem] = Field(description="that masks may have; none for classification")
    state: TrialState
    status_message: str
    counts: Counts
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class TrialPage(Answer):
    project: str
    items: list[TrialItem]
    next: str | None


class AreaItem(Answer):
    name: str
    area: float = Field(description="share of the image's pixels")
    color: str


class ImageItem(Answer):
    number: int
    name: str
    source_ref: str
    state: ImageState
    error: ImageError | None = Field(description="why it could not be judged")
    detail: str | None
    width: int | None
    height: int | None
    prediction: AnomalyClass | None
    confidence: float | None = Field(description="in the prediction, 0.5 to 1")
    score: float | None = Field(description="0 to 1, higher is more anomalous")
    areas: list[AreaItem]
    has_mask: bool
    verification: Verification
    corrected_class: AnomalyClass | None
    corrected_labels: list[str] | None = Field(description="labels of the corrected mask; null without one")
    verified_at: datetime | None
    added: bool = Field(description="the dataset has the image as it is verified now")


class ImagePage(Answer):
    items: list[ImageItem]
    next: str | None


class ImageList(Answer):
    items: list[ImageItem]


class Added(Answer):
    """A change of the dataset that was started, or none where there was nothing to add."""

    added: int
    dataset: Literal["train"] = "train"
    status: DatasetState
    status_message: str


def create_router(door: Door) -> APIRouter:
    """Routes of trial detections."""
    router = door.router("/trials", tags=["trials"])
    runner = Depends(door.caller(Action.RUN_TRIALS))
    lister = Depends(door.caller(Action.LIST_TRIALS))
    reader = Depends(door.caller(Action.READ_TRIALS))
    adder = Depends(door.caller(Action.CHANGE_DATASETS))
    objects, limits, buckets = door.deps.objects, door.deps.settings.limits, door.deps.settings.buckets
    most_labels = door.deps.settings.quotas.max_labels

    @router.post(
        "",
        status_code=201,
        name="StartTrialDetection",
        summary="Create a trial",
        description="With images of a bucket it starts at once; for an upload, post the images and start it. "
        "The model version must be trained; it need not be hosted. Trials cannot be deleted; they go with their "
        "project.",
        responses=problems(400, 404, 409, 429),
    )
    async def create(request: Request, body: NewTrial, owner: Owner = runner) -> TrialItem:
        source, keys = await _images(body.source, owner, door.rights(request))
        wanted = TrialRequest(body.name, source, body.kms_key_id)
        version: VersionName = "latest" if body.model_version == "latest" else int(body.model_version)
        async with door.change(request) as session:
            return _trial(await service.create(session, objects, limits, owner, body.project, version, wanted, keys))

    async def _images(
        wanted: FolderSource | ImagesSource | UploadSource, owner: Owner, rights: S3Rights
    ) -> tuple[Source, list[str]]:
        if isinstance(wanted, UploadSource):
            return Source(SourceKind.UPLOAD, buckets.datasets), []
        if isinstance(wanted, FolderSource):
            source = sources.folder(wanted.uri)
            sources.check_readable(buckets, owner.account_id, source.bucket, [source.prefix])
            return source, await sources.keys_below(objects, rights, source, limits.trial_images)
        source, keys = sources.listed(wanted.uris, limits.trial_images)
        sources.check_readable(buckets, owner.account_id, source.bucket, keys)
        await sources.check_images(objects, rights, source, keys)
        return source, keys

    @router.post(
        "/{trial_id}/images",
        status_code=201,
        name="UploadTrialImage",
        summary="Upload an image",
        description="Before the trial is started. An image of the same name is replaced.",
        responses=problems(400, 404, 409, 429),
        openapi_extra=_binary("image/jpeg", "image/png"),
    )
    async def upload(
        request: Request, trial_id: UUID, name: Annotated[PlainText, Query()], owner: Owner = runner
    ) -> ImageItem:
        data = await request.body()
        async with door.change(request) as session:
            image = await service.upload(session, objects, limits, owner, trial_id, name, data)
        return _image(image, buckets.datasets)

    @router.post(
        "/{trial_id}/start",
        status_code=202,
        name="StartTrialDetection",
        summary="Start a trial that has its images, or start one again that failed",
        responses=problems(404, 409),
    )
    async def start(request: Request, trial_id: UUID, owner: Owner = runner) -> TrialItem:
        async with door.change(request) as session:
            return _trial(await service.start(session, owner, trial_id))

    @router.get("", name="ListTrialDetection", summary="A project's trials, newest first", responses=problems(404))
    async def index(
        project: Annotated[str, Query(min_length=1, max_length=255)],
        limit: Limit = 50,
        cursor: Cursor = None,
        owner: Owner = lister,
    ) -> TrialPage:
        async with door.transaction() as session:
            page = await service.page(session, door.pages, owner, project, cursor, limit)
        return TrialPage(project=project, items=[_trial(view) for view in page.items], next=page.next_token)

    @router.get("/{trial_id}", name="DescribeTrialDetection", summary="One trial", responses=problems(404))
    async def get(trial_id: UUID, owner: Owner = reader) -> TrialItem:
        async with door.transaction() as session:
            return _trial(await service.get(session, owner, trial_id))

    @router.get("/{trial_id}/images", summary="A trial's images", responses=problems(404))
    async def images(
        trial_id: UUID,
        state: ImageState | None = None,
        prediction: AnomalyClass | None = None,
        verification: Verification | None = None,
        label: Annotated[str | None, Query(max_length=256, description="found, or in the corrected mask")] = None,
        sort: Annotated[Order, Query(description="`confidence`: least sure first")] = Order.NUMBER,
        limit: Limit = 50,
        cursor: Cursor = None,
        owner: Owner = reader,
    ) -> ImagePage:
        chosen = ImageFilter(state, prediction, verification, label)
        async with door.transaction() as session:
            trial = await service.find(session, owner, trial_id)
            page = await service.page_of_images(session, door.pages, trial, chosen, sort, cursor, limit)
        items = [_image(image, trial.source.bucket) for image in page.items]
        return ImagePage(items=items, next=page.next_token)

    @router.get("/{trial_id}/images/{number}", summary="One image", responses=problems(404))
    async def image(trial_id: UUID, number: Number, owner: Owner = reader) -> ImageItem:
        async with door.transaction() as session:
            trial = await service.find(session, owner, trial_id)
            return _image(await service.image(session, trial, number), trial.source.bucket)

    @router.get(
        "/{trial_id}/images/{number}/{kind}",
        summary="The image's bytes, the mask that the model gave, or the one that a person gave",
        response_class=Response,
        responses={
            200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The bytes"},
            **problems(404),
        },
    )
    async def read_content(
        request: Request, trial_id: UUID, number: Number, kind: content.Kind, owner: Owner = reader
    ) -> Response:
        async with door.transaction() as session:
            trial = await service.find(session, owner, trial_id)
            found = await service.image(session, trial, number)
        data, media_type = await content.read(objects, buckets.datasets, door.rights(request), trial, found, kind)
        # A corrected mask may be replaced.
        cache = "no-cache" if kind is content.Kind.CORRECTED_MASK else "max-age=3600"
        headers = {"Cache-Control": f"private, {cache}", "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=media_type, headers=headers)

    @router.patch(
        "/{trial_id}/images/{number}",
        name="VerifyTrialImage",
        summary="Verify a prediction",
        responses=problems(400, 404, 409),
    )
    async def verify(
        request: Request, trial_id: UUID, number: Number, body: Verdict, owner: Owner = runner
    ) -> ImageItem:
        return (await _verify(request, trial_id, [number], body, owner))[0]

    @router.patch(
        "/{trial_id}/images",
        name="VerifyTrialImages",
        summary="Verify several predictions",
        responses=problems(400, 404, 409),
    )
    async def verify_several(request: Request, trial_id: UUID, body: Verdicts, owner: Owner = runner) -> ImageList:
        return ImageList(items=await _verify(request, trial_id, body.images, body, owner))

    async def _verify(
        request: Request, trial_id: UUID, numbers: list[int], body: Verdict, owner: Owner
    ) -> list[ImageItem]:
        async with door.change(request) as session:
            trial = await service.find(session, owner, trial_id)
            found = await verifying.verify(session, owner, trial_id, numbers, body.verification, body.corrected_class)
        return [_image(image, trial.source.bucket) for image in found]

    @router.put(
        "/{trial_id}/images/{number}/corrected-mask",
        name="PutCorrectedMask",
        summary="Correct the mask",
        description="A PNG of the image's size: anomalies in their labels' colours, on white or transparent ground. "
        "The prediction counts as incorrect then, and the image as anomalous.",
        responses=problems(400, 404, 409),
        openapi_extra=_binary("image/png"),
    )
    async def correct_mask(request: Request, trial_id: UUID, number: Number, owner: Owner = runner) -> ImageItem:
        data = await request.body()
        async with door.change(request) as session:
            trial = await service.find(session, owner, trial_id)
            found = await verifying.correct_mask(session, objects, buckets.datasets, owner, trial_id, number, data)
        return _image(found, trial.source.bucket)

    @router.post(
        "/{trial_id}/labels",
        status_code=201,
        name="AddTrialLabel",
        summary="Add an anomaly label for corrected masks",
        description="The model learns it when it is trained again on images that have it.",
        responses=problems(400, 404),
    )
    async def add_label(request: Request, trial_id: UUID, body: NewLabel, owner: Owner = runner) -> TrialItem:
        async with door.change(request) as session:
            await verifying.add_label(session, owner, trial_id, Label(body.name, body.color), most_labels)
            return _trial(await service.get(session, owner, trial_id))

    @router.post(
        "/{trial_id}/dataset-entries",
        status_code=202,
        name="AddTrialImages",
        summary="Add verified images to the project's training dataset",
        description="Images that were uploaded are copied into the dataset's bucket, and masks are, below "
        "`vigia-trials/<project>/<trial id>/`. Images of a bucket must be in the dataset's. Safe to repeat.",
        responses=problems(400, 404, 409),
    )
    async def add(request: Request, trial_id: UUID, body: NewEntries | None = None, owner: Owner = adder) -> Added:
        numbers = None if body is None else body.images
        async with door.transaction() as session:
            addition = await adding.plan(session, buckets, owner, trial_id, numbers)
        rights = door.rights(request)
        adding.check(rights, addition)
        await adding.copy(objects, addition)
        async with door.change(request) as session:
            dataset = await adding.commit(session, objects, buckets.datasets, owner, addition, rights)
        return Added(added=len(addition.images), status=dataset.state, status_message=dataset.status_message)

    return router


def _binary(*media_types: str) -> dict[str, Any]:
    """For the document: the body is a file."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": dict.fromkeys(media_types, schema)}}


def _trial(view: TrialView) -> TrialItem:
    trial = view.trial
    return TrialItem(
        trial_id=trial.id,
        project=trial.project,
        model_version=str(trial.model_version),
        name=trial.name,
        source=SourceItem(**asdict(trial.source)),
        kms_key_id=trial.kms_key_id,
        labels=[LabelItem(name=label.name, color=label.color) for label in trial.labels],
        state=trial.state,
        status_message=trial.status_message,
        counts=Counts(**asdict(view.counts)),
        created_at=trial.created_at,
        started_at=trial.started_at,
        ended_at=trial.ended_at,
    )


def _image(image: TrialImage, bucket: str) -> ImageItem:
    values = asdict(image)
    return ImageItem(**{**values, "source_ref": f"s3://{bucket}/{values.pop('key')}", "has_mask": bool(image.areas)})
