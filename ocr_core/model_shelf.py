"""Recognisers by name: loaded, replaced and unloaded while images are being read with them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import WeakSet

from ocr_core.bundle import Kind, ModelBundle, bundle_folders, content_hash, names_of, read_bundle, version_order
from ocr_core.errors import BundleInvalid, ModelIsDefault, ModelNotFound, ModelRejected
from ocr_core.model_agreement import ModelAgreement, WantedModels
from ocr_core.model_status import ModelState, ModelStatus
from ocr_core.types import ModelInfo

if TYPE_CHECKING:
    from ocr_core.recognizer import Recognizer

_LOOK_EVERY_S = 0.02
"""How often it is looked whether a model that was unloaded is still in use."""

_CLOSE_S = 1.0

_serials = itertools.count()


class Lease:
    """Keeps a recogniser loaded for one image: as long as something refers to the lease, whatever happens meanwhile."""

    __slots__ = ("__weakref__", "model")

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        model.leases.add(self)


@dataclass(frozen=True, eq=False, slots=True)
class LoadedModel:
    """A recogniser in memory, freed with the last reference to it.

    content: see content_hash. serial: nothing else, not even another one of its name and version, has it. leases: of
    the images that are being read with it.
    """

    bundle: ModelBundle
    content: str
    recognizer: Recognizer
    serial: int = field(default_factory=_serials.__next__)
    leases: WeakSet[Lease] = field(default_factory=WeakSet)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What requests can name at one moment. Nothing changes it: another one takes its place.

    models: by "name/version". default: what requests mean that name none, a name or "name/version".
    A bare name means the newest version, but for that of the default, when it has a version: then it means the default.
    Raises ModelIsDefault when there is no default.
    """

    models: Mapping[str, LoadedModel]
    default: str
    _names: Mapping[str, LoadedModel] = field(init=False)

    def __post_init__(self) -> None:
        oldest_first = sorted(self.models.values(), key=lambda model: version_order(model.bundle.version))
        names = {model.bundle.name: model for model in oldest_first} | dict(self.models)
        if self.default not in names:
            raise ModelIsDefault(f"{self.default} is the default model: nothing else would answer to it")
        names[""] = names[self.default.partition("/")[0]] = names[self.default]
        object.__setattr__(self, "_names", MappingProxyType(names))

    def find(self, name: str, part: str = "options.model") -> LoadedModel:
        """The model that a request names in `part`; empty: the default. Raises ModelNotFound."""
        try:
            return self._names[name]
        except KeyError:
            raise ModelNotFound(f"no model {name!r} is loaded", part) from None


@dataclass(slots=True)
class _Draft:
    """What shall be on the next shelf; fields as in Shelf."""

    models: dict[str, LoadedModel]
    default: str

    def shelf(self) -> Shelf:
        """Raises ModelIsDefault."""
        return Shelf(self.models, self.default)


class ModelShelf:
    """The recognisers of a folder. Construct, start(), use from any thread, close().

    make: loads a bundle; raises BundleInvalid when it does not show that it works.
    agreement: with processes that shall have the same models; each change begins with what they have changed.

    Changes block, one after the other, in whatever process. Each puts a new shelf in the old one's place once it is
    complete and agreed on, so that no request sees half of it; images keep the recogniser that they began with. One
    that fails leaves everything as it was.
    """

    def __init__(
        self,
        models_dir: Path,
        default: str,
        make: Callable[[ModelBundle, Path], Recognizer],
        agreement: ModelAgreement | None = None,
    ) -> None:
        self._models_dir = models_dir
        self._default = default
        self._make = make
        self._agreement = agreement or ModelAgreement(None)
        self._changing = threading.Lock()
        self._loading = ""
        self._failed: dict[str, str] = {}
        self._unloading: dict[threading.Thread, LoadedModel] = {}

    def start(self) -> None:
        """Load every recogniser, or those that were agreed on. Raises SetupError, or ModelNotFound for the default."""
        with self._changing, self._agreement.held():
            wanted = self._agreement.read()
            default = wanted.default if wanted else self._default
            bundles = {
                name: read_bundle(folder)
                for name, folder in bundle_folders(self._models_dir).items()
                if wanted is None or name in wanted.contents
            }
            recognizers = {name: bundle for name, bundle in bundles.items() if bundle.kind is Kind.RECOGNIZER}
            if not any(default in names_of(name) for name in recognizers):
                raise ModelNotFound(f"no recognizer {default!r} in {self._models_dir}", "options.model")
            models = {name: self._made(bundle) for name, bundle in recognizers.items()}
            self._shelf = Shelf(models, default)

    def close(self) -> None:
        """Wait for models that are being freed."""
        for thread in list(self._unloading):
            thread.join(_CLOSE_S)

    def lease(self, name: str) -> Lease:
        """The recogniser that a request names, for one image; empty: the default. Raises ModelNotFound."""
        return Lease(self._shelf.find(name))

    def infos(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, sorted by name and version."""
        shelf = self._shelf
        default = shelf.find("")
        infos = [model.bundle.info(is_default=model is default) for model in shelf.models.values()]
        return tuple(sorted(infos, key=_order))

    def statuses(self) -> tuple[ModelStatus, ...]:
        """Each model that is there, comes or goes, and those that could not be loaded, sorted by name and version."""
        shelf = self._shelf
        default = shelf.find("")
        found = [
            *(_status(name, ModelState.FAILED, reason=reason) for name, reason in list(self._failed.items())),
            *(
                _status(name, ModelState.READY, model, is_default=model is default)
                for name, model in shelf.models.items()
            ),
            *(_status(_name(model.bundle), ModelState.UNLOADING, model) for model in list(self._unloading.values())),
        ]
        if loading := self._loading:
            found.append(_status(loading, ModelState.LOADING))
        return tuple(sorted(found, key=_order))

    def load(self, name: str) -> None:
        """Load "name/version", or the newest version of a name; nothing happens when it is loaded as it is.

        Raises ModelNotFound when there is no such folder, and ModelRejected.
        """
        with self._change() as draft:
            folders = bundle_folders(self._models_dir)
            found = [full for full in folders if name in names_of(full)]
            if not found:
                raise ModelNotFound(f"no bundle {name!r} in the models folder", "model")
            if not self._load(draft, found[-1], folders[found[-1]]):
                raise ModelRejected(f"{found[-1]} is no recogniser: others are loaded when the server starts")

    def unload(self, name: str) -> None:
        """Unload the model that requests find by this name. Raises ModelNotFound or ModelIsDefault."""
        with self._change() as draft:
            del draft.models[_name(self._shelf.find(name, "model").bundle)]

    def reload(self) -> None:
        """Load what is new or another one in the folder, unload what is gone from it, but for the default.

        What cannot be loaded is left as it is; statuses() say why.
        """
        with self._change() as draft:
            folders = bundle_folders(self._models_dir)
            self._failed = {name: reason for name, reason in self._failed.items() if name in folders}
            self._load_all(draft, folders)
            default = draft.shelf().find("")
            draft.models = {name: model for name, model in draft.models.items() if name in folders or model is default}

    def set_default(self, name: str) -> None:
        """Requests that name no model mean this one from now on: a name or "name/version". Raises ModelNotFound."""
        with self._change() as draft:
            self._shelf.find(name, "model")
            draft.default = name

    def follow(self) -> None:
        """Do what other processes have done. What cannot be loaded is left as it is; statuses() say why."""
        with self._changing, self._agreement.held():
            self._follow()

    @contextmanager
    def _change(self) -> Iterator[_Draft]:
        with self._changing, self._agreement.held():
            self._follow()
            draft = self._draft()
            yield draft
            shelf = draft.shelf()
            self._agreement.write(_wanted(shelf))
            self._put(shelf)

    def _draft(self) -> _Draft:
        return _Draft(dict(self._shelf.models), self._shelf.default)

    def _follow(self) -> None:
        wanted = self._agreement.read()
        if wanted is None or wanted == _wanted(self._shelf):
            return
        draft = self._draft()
        folders = bundle_folders(self._models_dir)
        self._load_all(draft, {name: folder for name, folder in folders.items() if name in wanted.contents})
        self._put(draft.shelf())
        # Without its default: everything stays, as others cannot have agreed on it.
        with suppress(ModelIsDefault):
            models = {name: model for name, model in draft.models.items() if name in wanted.contents}
            self._put(Shelf(models, wanted.default))

    def _load_all(self, draft: _Draft, folders: Mapping[str, Path]) -> None:
        for name, folder in folders.items():
            with suppress(ModelRejected):
                self._load(draft, name, folder)

    def _load(self, draft: _Draft, name: str, folder: Path) -> bool:
        """Whether it is a recogniser, which is loaded then. Raises ModelRejected."""
        self._loading = name
        self._failed.pop(name, None)
        try:
            bundle = read_bundle(folder)
            if bundle.kind is not Kind.RECOGNIZER:
                return False
            known = draft.models.get(name)
            if known is None or known.content != content_hash(folder):
                draft.models[name] = self._made(bundle)
        except BundleInvalid as error:
            self._failed[name] = error.message
        finally:
            self._loading = ""
        if name in self._failed:
            # Not from inside: the traceback of what went wrong would keep the engine in memory.
            raise ModelRejected(f"{name} was not loaded: {self._failed[name]}")
        return True

    def _made(self, bundle: ModelBundle) -> LoadedModel:
        folder = self._models_dir / bundle.name / bundle.version
        return LoadedModel(bundle, content_hash(folder), self._make(bundle, folder))

    def _put(self, shelf: Shelf) -> None:
        """Put another shelf in place; free what is on it no longer."""
        old, self._shelf = self._shelf, shelf
        for model in old.models.values():
            if shelf.models.get(_name(model.bundle)) is not model:
                self._free(model)

    def _free(self, model: LoadedModel) -> None:
        """In a thread of its own, as it takes a twentieth of a second: whoever reads the last image is not held up."""
        thread = threading.Thread(target=self._wait_until_unused, name="unload", daemon=True)
        self._unloading[thread] = model
        thread.start()

    def _wait_until_unused(self) -> None:
        thread = threading.current_thread()
        while self._unloading[thread].leases:
            time.sleep(_LOOK_EVERY_S)
        del self._unloading[thread]


def _wanted(shelf: Shelf) -> WantedModels:
    contents = {name: model.content for name, model in shelf.models.items()}
    return WantedModels(default=shelf.default, contents=contents)


def _name(bundle: ModelBundle) -> str:
    return f"{bundle.name}/{bundle.version}"


def _status(
    full_name: str,
    state: ModelState,
    model: LoadedModel | None = None,
    *,
    is_default: bool = False,
    reason: str = "",
) -> ModelStatus:
    name, _, version = full_name.partition("/")
    return ModelStatus(name, version, state, is_default, len(model.leases) if model else 0, reason)


def _order(model: ModelInfo | ModelStatus) -> tuple[str, list[tuple[int, str]]]:
    return model.name, version_order(model.version)
