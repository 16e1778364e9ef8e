"""Files of others that the package reads or carries: what they are, whose they are, and what tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import fit_deca
from pipeline import google_drive


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a file is published.

    form: whether `url` is the file itself, a zip archive with the file in it, or a shared folder of Google Drive.
    path: the file in that folder. login: whether the publisher asks for the user's own name and password.
    """

    url: str
    form: Literal["file", "zip", "drive folder"] = "file"
    path: str = ""
    login: bool = False


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of others.

    file: its published name, which is also its name in our folder.
    load: its strict loader, which raises ValueError, one line, for any other file; None where the checksum says it all.
    get: how a person gets it, where `gdpw-pipe assets fetch` cannot.
    sha256: its published checksum, all digits or the leading ones; empty where none is known.
    exact: nothing but the published file will do. Any other asset may be a file that loads, one's own model for one.
    packaged: where this package carries it.
    """

    name: str
    what: str
    licence: str
    file: str
    load: Callable[[Path], object] | None = None
    get: str = "install the package again"
    origin: Origin | None = None
    sha256: str = ""
    exact: bool = False
    packaged: Path | None = None


def _load_face_model(path: Path) -> object:
    from fit_deca.model_file import load_face_model

    return load_face_model(path)


def _load_landmark_embedding(path: Path) -> object:
    from fit_deca.model_file import load_landmark_embedding

    return load_landmark_embedding(path)


def _load_deca(path: Path) -> object:
    from fit_deca.deca_file import load_encoder

    return load_encoder(path)


def _load_gdpw(guidance: str) -> Callable[[Path], object]:
    def load(path: Path) -> object:
        from gdpw.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(path)
        if checkpoint.config.guidance != guidance:
            raise ValueError(
                f"{path}: a GDPW checkpoint with the guidance {checkpoint.config.guidance}, not {guidance}"
            )
        return checkpoint

    return load


def _load_vgg19(path: Path) -> object:
    from gdpw.perceptual import Vgg19

    return Vgg19.load(path)


def _load_heads(path: Path) -> object:
    from gdpw.lpips import read_heads

    return read_heads(path)


def _load_alexnet(path: Path) -> object:
    from gdpw.lpips import read_convolutions

    return read_convolutions(path)


def _load_inception(path: Path) -> object:
    from gdpw.inception import Inception

    return Inception.load(path)


def _face_model(name: str, edition: int, file: str, sha256: str = "") -> Asset:
    archive = f"https://download.is.tue.mpg.de/download.php?domain=flame&sfile=FLAME{edition}.zip&resume=1"
    return Asset(
        name=name,
        what=f"FLAME {edition}, face model",
        licence="Max Planck model licence",
        file=file,
        load=_load_face_model,
        get=f"register at https://flame.is.tue.mpg.de, download FLAME {edition}",
        origin=Origin(url=archive, form="zip", login=True),
        sha256=sha256,
    )


def _gdpw(guidance: str) -> Asset:
    folder = "https://drive.google.com/drive/folders/149O2EpAh_mOW1s7INnKaa3BrV0Zv00D6"
    file = f"PWM_{guidance}.pth"
    return Asset(
        name=f"gdpw_{guidance}",
        what=f"GDPW, guidance {guidance}",
        licence="MIT (the code; none stated)",
        file=file,
        load=_load_gdpw(guidance),
        get=f"download checkpoints/{file} from {folder}",
        origin=Origin(url=folder, form="drive folder", path=f"checkpoints/{file}"),
    )


_INCEPTION = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)

_ALL = (
    _face_model(
        "flame",
        2020,
        "generic_model.pkl",
        sha256="efcd14cc4a69f3a3d9af8ded80146b5b6b50df3bd74cf69108213b144eba725b",
    ),
    _face_model("flame2023", 2023, "flame2023.pkl"),
    Asset(
        name="deca",
        what="DECA, trained model",
        licence="non-commercial research",
        file="deca_model.tar",
        load=_load_deca,
        get="download DECA's trained model, linked at https://github.com/YadiraF/DECA",
        origin=Origin(url=google_drive.file_url("1rp8kdyLPvErw2dTmqtjISRVvQLj6Yzje")),
        sha256="e714ed293054cba5eea9c96bd3b6b57880074cd84b3fd00d606cbaf0bee7c5c2",
    ),
    Asset(
        name="landmark_embedding",
        what="FLAME's 68 landmarks",
        licence="non-commercial research",
        file="landmark_embedding.npy",
        load=_load_landmark_embedding,
        get="download data/landmark_embedding.npy from https://github.com/YadiraF/DECA",
        origin=Origin(url="https://raw.githubusercontent.com/yfeng95/DECA/master/data/landmark_embedding.npy"),
        sha256="8095348eeafce5a02f6bd8765146307f9567a3f03b316d788a2e47336d667954",
    ),
    _gdpw("neural_codes"),
    _gdpw("geom_disp"),
    _gdpw("both"),
    Asset(
        name="vgg19",
        what="VGG-19, perceptual loss",
        licence="BSD-3-Clause (torchvision)",
        file="vgg19-dcbb9e9d.pth",
        load=_load_vgg19,
        get="download https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        origin=Origin(url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"),
        sha256="dcbb9e9d",
        exact=True,
    ),
    Asset(
        name="alexnet",
        what="AlexNet, for LPIPS",
        licence="BSD-3-Clause (torchvision)",
        file="alexnet-owt-7be5be79.pth",
        load=_load_alexnet,
        get="download https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        origin=Origin(url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        exact=True,
    ),
    Asset(
        name="lpips_alex",
        what="LPIPS 0.1, its weights for AlexNet",
        licence="BSD-2-Clause",
        file="alex.pth",
        load=_load_heads,
        get="take lpips/weights/v0.1/alex.pth out of the package lpips",
        origin=Origin(
            url="https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/alex.pth"
        ),
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        exact=True,
    ),
    Asset(
        name="inception",
        what="Inception v3, for FID",
        licence="Apache-2.0",
        file="pt_inception-2015-12-05-6726825d.pth",
        load=_load_inception,
        get=f"download {_INCEPTION}",
        origin=Origin(url=_INCEPTION),
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        exact=True,
    ),
    Asset(
        name="face_landmarker",
        what="MediaPipe's landmark model",
        licence="Apache-2.0",
        file="face_landmarker.task",
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        exact=True,
        packaged=Path(__file__).parent / "data" / "face_landmarker.task",
    ),
    Asset(
        name="generic_head",
        what="generic head, face model",
        licence="Apache-2.0",
        file="generic_head.npz",
        load=_load_face_model,
        packaged=Path(fit_deca.__file__).parent / "data" / "generic_head.npz",
    ),
)

CATALOGUE = {asset.name: asset for asset in _ALL}
"""Name -> asset.

Sources: for addresses and names, README, settings and `fetch_data.sh` of github.com/yataoz/face_reenact_GDPW; for
checksums, the names of torchvision's and pytorch-fid's files, the Git LFS record of the landmark file, the wheel lpips
0.1.4 and, for FLAME 2020 and DECA, who publish none, what independent projects give alike.
"""
