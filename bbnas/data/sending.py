"""A data set on its way to other machines: they get its pixels, and keep them in their caches."""

from __future__ import annotations

import logging
from dataclasses import replace

from bbnas.data.datasets import Dataset
from bbnas.data.images import ImageSet
from bbnas.data.pack import Pack, cache_folder, made_once, write_pack

_log = logging.getLogger(__name__)


class SentDataset:
    """Pickles with its pixels, and not only with the name of a file, as a Dataset does."""

    def __init__(self, dataset: Dataset) -> None:
        self._train, self._validation = _SentImages(dataset.train), _SentImages(dataset.validation)
        self._description = dataset.description

    def arrived(self) -> Dataset:
        """The data set, mapped from a file of this machine that its processes share."""
        return Dataset(self._train.arrived(), self._validation.arrived(), self._description)


class _SentImages:
    def __init__(self, images: ImageSet) -> None:
        self._pack = images.pack  # this machine may have it, or share it
        self._images = replace(images, pack=None, lq=None)
        self._lq = None if images.lq is None else _SentImages(images.lq)

    def arrived(self) -> ImageSet:
        lq = None if self._lq is None else self._lq.arrived()
        pack = self._pack if self._pack is not None and self._pack.whole() else self._kept()
        if pack is None:
            return replace(self._images, lq=lq)
        return replace(self._images, images=pack.arrays(), pack=pack, lq=lq)

    def _kept(self) -> Pack | None:
        images = self._images
        path = cache_folder() / f"{images.fingerprint}.rgb"
        shapes = [(i.shape[0], i.shape[1], i.shape[2]) for i in images.images]
        pack = Pack.of_shapes(path, shapes)
        try:
            with made_once(path):
                if not pack.whole():
                    write_pack(pack, images.images)
        except OSError as error:
            _log.warning("%s cannot be written (%s): held in memory", path, error.strerror)
            return None
        return pack
