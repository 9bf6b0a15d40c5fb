"""Networks of other people to prune: where they come from, and the smallest input that they take.

Neither torchvision, timm nor transformers is a dependency; what is not installed is left out, and
said so in the table. Weights are random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

#: Pictures are tried in these sizes, smallest first.
SIZES = (32, 64, 75, 96, 112, 128, 160, 192, 224, 240, 256, 299, 331)

#: One each of the families in timm that differ in how they use their channels.
_TIMM = """
vit_tiny_patch16_224 deit3_small_patch16_224 swin_tiny_patch4_window7_224 swinv2_tiny_window8_256
convnext_atto mobilevit_xxs res2net50_14w_8s efficientnet_lite0 levit_128s pit_ti_224
mixer_s32_224 resmlp_12_224 gmlp_ti16_224 dpn68 dla34 hrnet_w18_small cspresnet50 repvgg_a0
ghostnet_100 efficientformer_l1 poolformer_s12 edgenext_xx_small xcit_nano_12_p16_224
eva02_tiny_patch14_224 inception_resnet_v2 xception41 tresnet_m skresnet18 resnest14d ecaresnet26t
gcresnet33ts botnet26t_256 lambda_resnet26t focalnet_tiny_srf pvt_v2_b0 crossvit_tiny_240
visformer_tiny fastvit_t8 mobilenetv4_conv_small beit_base_patch16_224
"""


@dataclass(frozen=True)
class Network:
    """A network to prune: its family and name, and a function that makes it with an example."""

    family: str
    name: str
    make: Callable[[], tuple[nn.Module, Any]]


def networks(families: tuple[str, ...]) -> Iterator[Network]:
    """Yield the networks of those families that are installed."""
    known = {"torchvision": _torchvision, "timm": _timm, "transformers": _transformers}
    for family in families:
        if find_spec(family) is not None:
            yield from known[family]()


def _load_torchvision() -> Any:
    """Import torchvision; its compiled operators are not built for every PyTorch.

    Their schemas are declared first where they are missing: the classifiers call none of them.
    """
    found = find_spec("torchvision")
    assert found is not None
    assert found.origin is not None
    text = (Path(found.origin).parent / "_meta_registrations.py").read_text()
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in sorted({"nms", *re.findall(r"torchvision::(\w+)", text)}):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor x) -> Tensor")
    _KEPT.append(library)
    return import_module("torchvision.models")


_KEPT: list[Any] = []  # operators are forgotten with their library


def _torchvision() -> Iterator[Network]:
    models = _load_torchvision()
    for name in models.list_models(module=models):

        def make(name: str = name) -> tuple[nn.Module, Any]:
            options: dict[str, Any] = {}
            if name in ("googlenet", "inception_v3"):
                options["init_weights"] = False
            if name.startswith("vit"):
                options["image_size"] = 28 if "14" in name else 32
            model = models.get_model(name, weights=None, **options)
            return model, _smallest(model, options.get("image_size"))

        yield Network("torchvision", name, make)


def _timm() -> Iterator[Network]:
    if find_spec("torchvision") is not None:
        _load_torchvision()
    timm = import_module("timm")
    for name in _TIMM.split():

        def make(name: str = name) -> tuple[nn.Module, Any]:
            model = timm.create_model(name, num_classes=10)
            return model, torch.zeros(1, *model.default_cfg["input_size"])

        yield Network("timm", name, make)


def _transformers() -> Iterator[Network]:
    if find_spec("torchvision") is not None:
        _load_torchvision()
    library = import_module("transformers")
    tokens = torch.randint(1, 90, (1, 9), generator=torch.Generator().manual_seed(0))
    small = {"vocab_size": 100, "num_hidden_layers": 2, "num_attention_heads": 4}
    wide = {**small, "hidden_size": 48, "intermediate_size": 96}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    text = {"input_ids": tokens, "use_cache": False}
    masked = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    both = {**text, "decoder_input_ids": tokens}
    picture = {"pixel_values": torch.zeros(1, 3, 32, 32)}
    queries = {**wide, "num_attention_heads": 8, "num_key_value_heads": 4}
    bert = {**wide, "embedding_size": 16}
    found: list[tuple[str, str, dict[str, Any], Any]] = [
        ("Bert", "ForSequenceClassification", wide, masked),
        ("Albert", "ForSequenceClassification", bert, masked),
        ("MobileBert", "ForSequenceClassification", {**bert, "intra_bottleneck_size": 16}, masked),
        ("GPT2", "LMHeadModel", {"vocab_size": 100, "n_embd": 48, "n_layer": 2, "n_head": 4}, text),
        ("GPTNeoX", "ForCausalLM", wide, text),
        ("Llama", "ForCausalLM", queries, text),
        ("Qwen2", "ForCausalLM", {**queries, "tie_word_embeddings": True}, text),
        ("T5", "ForConditionalGeneration",
         {"vocab_size": 100, "d_model": 48, "d_kv": 8, "num_layers": 2, "num_heads": 6, "d_ff": 96},
         both),
        ("Whisper", "Model",
         {"vocab_size": 100, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
          "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
          "decoder_ffn_dim": 64, "num_mel_bins": 8, "max_source_positions": 20,
          "max_target_positions": 20, "decoder_start_token_id": 1},
         {"input_features": torch.zeros(1, 8, 40), "decoder_input_ids": tokens,
          "use_cache": False}),
        ("ViT", "ForImageClassification",
         {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
          "num_attention_heads": 4, "image_size": 32, "patch_size": 8}, picture),
        ("Swin", "ForImageClassification",
         {"image_size": 32, "patch_size": 2, "embed_dim": 24, "depths": [2, 2],
          "num_heads": [2, 4], "window_size": 4}, picture),
    ]  # fmt: skip
    for kind, task, options, example in found:
        if "vocab_size" in options:
            options = {**options, **ends}

        def make(
            kind: str = kind, task: str = task, options: Any = options, example: Any = example
        ) -> tuple[nn.Module, Any]:
            config = getattr(library, f"{kind}Config")(**options)
            return getattr(library, kind + task)(config), example

        yield Network("transformers", kind + task, make)


def _smallest(model: nn.Module, size: int | None) -> torch.Tensor:
    """Return the smallest picture that a network takes, in evaluation and in training."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    last: Exception | None = None
    for side in (size,) if size else SIZES:
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        state = {name: fake.from_tensor(tensor) for name, tensor in named.items()}
        try:
            for training in (True, False):
                model.train(training)
                with torch.no_grad(), fake:
                    picture = fake.from_tensor(torch.zeros(2, 3, side, side))
                    torch.func.functional_call(model, state, (picture,))
        except Exception as error:
            last = error
            continue
        return torch.zeros(1, 3, side, side)
    raise RuntimeError(f"takes no picture of up to {SIZES[-1]} pixels: {last}")
