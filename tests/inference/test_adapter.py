from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bbnas.errors import UserError
from bbnas.inference.adapter import on_arrays


def test_a_model_sees_the_image_as_a_tensor_and_returns_an_array() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    double = on_arrays(lambda lq: F.interpolate(lq.double(), scale_factor=2), 2, 1)
    expected = image.astype(np.float32).repeat(2, axis=0).repeat(2, axis=1) / np.float32(255)
    for given in (image, image / np.float32(255), image / 255):
        out = double.run(given)
        assert out.dtype == np.float32
        assert np.array_equal(out, expected)


def test_a_module_is_put_into_evaluation_mode() -> None:
    module = torch.nn.Dropout()
    image = np.random.default_rng(0).random((8, 9, 3), np.float32)
    assert np.array_equal(on_arrays(module, 1, 0).run(image), image)


def test_an_output_of_another_shape_is_refused() -> None:
    image = np.zeros((8, 9, 3), np.uint8)
    with pytest.raises(UserError, match=r"must return a tensor of \(1, 3, 16, 18\)"):
        on_arrays(lambda lq: lq, 2, None).run(image)
    with pytest.raises(UserError, match="makes ndarray"):
        on_arrays(lambda lq: lq.numpy(), 1, None).run(image)


def test_a_model_of_other_channels_is_told_so() -> None:
    grey = torch.nn.Conv2d(1, 1, 3, padding=1)
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UserError, match=r"the model cannot take an image of \(1, 3, 8, 8\): "):
        on_arrays(grey, 1, 1).run(image)


def test_a_model_may_write_into_what_it_is_given() -> None:
    image = np.random.default_rng(0).random((20, 30, 1), np.float32)
    before = image.copy()
    on_arrays(lambda lq: lq.mul_(0.5), 1, 0).run(image)
    assert np.array_equal(image, before)
