"""Tests of what cameras and scanners do to lines."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas import camera
from training.synth.atlas.camera import photograph, resized, wear_ink
from training.synth.atlas.dice import Dice


def dice(strength=1.0, seed=0):
    return Dice(np.random.default_rng(seed), torch.Generator().manual_seed(seed), strength)


@pytest.fixture
def pictures():
    """Blocks and stripes, float32 [24, 3, 36, 100]."""
    coarse = torch.rand(24, 3, 9, 25, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, scale_factor=4.0, mode="nearest")


def test_no_strength_changes_nothing(pictures):
    """At strength 0 ink and images come out as they went in."""
    torch.testing.assert_close(photograph(pictures.clone(), dice(0)), pictures)
    torch.testing.assert_close(wear_ink(pictures[:, :1].clone(), dice(0)), pictures[:, :1], atol=2e-4, rtol=0)


def test_full_strength_keeps_shape_and_range(pictures):
    """At strength 1 every image stays RGB between 0 and 1 without NaN, and most are changed."""
    taken = photograph(pictures.clone(), dice())
    assert taken.shape == pictures.shape
    assert ((taken >= 0) & (taken <= 1)).all()
    assert ((taken - pictures).abs().amax(dim=(1, 2, 3)) > 0.02).float().mean() > 0.7


@pytest.mark.parametrize(
    "name", ["_light", "_cast_shadow", "_stamped", "_specked", "_blurred", "_toned", "_noisy", "_scanned"]
)
@pytest.mark.parametrize("count", [1, 5])
def test_each_step_works_on_any_number(pictures, name, count):
    """Every step gives finite values for one line and for several, which differ from what went in."""
    changed = getattr(camera, name)(pictures[:count], dice())
    assert torch.isfinite(changed).all()
    assert (changed.expand_as(pictures[:count]) - pictures[:count]).abs().max() > 0.01


def test_compression_is_like_jpeg():
    """The loss on a photograph-like picture is near that of a JPEG encoder of the same quality."""
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 6, 10, generator=torch.Generator().manual_seed(2)), (48, 80), mode="bicubic"
    )
    smooth = (smooth.clamp(0, 1) * 255).round() / 255

    class Fixed(Dice):
        def uniform(self, count, low, high):
            return torch.full((count, 1, 1), 30.0)

    ours = camera._compressed(smooth, Fixed(np.random.default_rng(0), torch.Generator(), 1.0))
    buffer = io.BytesIO()
    Image.fromarray((smooth[0] * 255).byte().permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=30)
    theirs = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1) / 255
    loss, usual = ((picture - smooth[0]).square().mean().sqrt() for picture in (ours[0], theirs))
    assert loss == pytest.approx(float(usual), rel=0.15)
    assert (ours[0] - theirs).abs().mean() < 0.01


def test_blur_keeps_the_mean_and_smooths(pictures):
    """Blurring leaves brightness as it is and lowers the differences between neighbours."""
    blurred = camera._blurred(pictures, dice())
    assert (blurred.mean(dim=(2, 3)) - pictures.mean(dim=(2, 3))).abs().max() < 0.05
    assert blurred.diff(dim=3).square().mean() < 0.7 * pictures.diff(dim=3).square().mean()


@pytest.mark.parametrize(("size", "method"), [((16, 48), cv2.INTER_AREA), ((64, 192), cv2.INTER_LINEAR)])
def test_resizing_is_that_of_line_crops(size, method):
    """Crops are resized as OpenCV does it when lines are read: by area down, linearly up."""
    picture = torch.rand(1, 3, 32, 96, generator=torch.Generator().manual_seed(3))
    expected = cv2.resize(picture[0].permute(1, 2, 0).numpy(), size[::-1], interpolation=method)
    torch.testing.assert_close(
        resized(picture, size)[0].permute(1, 2, 0), torch.from_numpy(expected), atol=1e-5, rtol=0
    )
