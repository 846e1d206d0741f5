"""The discriminator of the thesis: stacked convolutions with spectral norm and leaky ReLU that judge patches.

Used once the rest is stable (`--adversarial`, off by default). Losses are the hinge form.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS = (32, 64, 128)
RAMP_STEPS = 1000


class PatchCritic(nn.Module):
    """One number for each patch of about 46 pixels: above zero for real."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels in CHANNELS:
            layers += [spectral_norm(nn.Conv2d(before, channels, 4, 2, 1)), nn.LeakyReLU(0.2)]
            before = channels
        layers.append(spectral_norm(nn.Conv2d(before, 1, 4, 1, 1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, picture: Tensor) -> Tensor:
        """Judgements (N, 1, h, w) of pictures (N, 3, H, W) in [0, 1]."""
        judged: Tensor = self.layers(picture * 2.0 - 1.0)
        return judged.float()


def critic_loss(critic: PatchCritic, shown: Tensor, truth: Tensor) -> Tensor:
    """What the critic lowers: real patches above 1, made ones below -1 (equation 2.3 of the thesis, as a hinge)."""
    real, made = critic(truth), critic(shown.detach())
    return functional.relu(1.0 - real).mean() + functional.relu(1.0 + made).mean()


def fooling_loss(critic: PatchCritic, shown: Tensor) -> Tensor:
    """What the generator lowers."""
    judged: Tensor = critic(shown)
    return -judged.mean()


def frozen(critic: PatchCritic, yes: bool) -> None:
    """Keeps the generator's step from gathering gradients in the critic."""
    for parameter in critic.parameters():
        parameter.requires_grad_(not yes)


def ramp(step: int, start: int) -> float:
    """Share of the adversarial weight at a step: nothing before `start`, all of it RAMP_STEPS later."""
    return min(1.0, max(0.0, (step - start) / RAMP_STEPS))
