"""Fashion-MNIST as rows of pixels, in three parts: for training, for early stopping, for the result."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from assay.datasets import fashion_mnist
from assay.errors import InputError
from benchmarks.tickets.settings import Settings


@dataclass(frozen=True, slots=True)
class Part:
    """Images float32 [n, pixels] and labels int64 [n]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Parts:
    """What trains, what decides when to stop, and what is reported."""

    training: Part
    validation: Part
    test: Part

    @property
    def sha256(self) -> str:
        """Over all images and labels, in order."""
        digest = hashlib.sha256()
        for part in (self.training, self.validation, self.test):
            digest.update(part.images.numpy().data)
            digest.update(part.labels.numpy().data)
        return digest.hexdigest()


def load_parts(settings: Settings) -> Parts:
    """All of them. Raises MachineError where Debian's package is not to be had."""
    images, labels = fashion_mnist("train")
    test_images, test_labels = fashion_mnist("test")
    return split(Part(images.flatten(1), labels), Part(test_images.flatten(1), test_labels), settings)


def split(training: Part, test: Part, settings: Settings) -> Parts:
    """Some of the training images, by chance, for validation. Raises InputError where no batch is left to train on."""
    count, held = len(training.labels), settings.images.validation
    if count - held < settings.training.batch:
        raise InputError("too few images", value=f"{count}, {held} of them for validation", rule="a batch is left")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.images.split_seed))
    chosen, rest = order[:held], order[held:]
    trained, watched = (Part(training.images[each], training.labels[each]) for each in (rest, chosen))
    return Parts(trained, watched, test)
