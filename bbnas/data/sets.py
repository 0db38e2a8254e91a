"""Known sets: those that the field trains and scores on, where to find them, and checks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bbnas.data.folders import find_files
from bbnas.data.pack import map_in_order
from bbnas.data.reading import read, reader_warnings, reason
from bbnas.errors import UserError, unknown
from bbnas.tasks import TASKS

Use = Literal["training", "validation", "test"]


class DataProgress(NamedTuple):
    """Progress of work on data: ``done`` of ``total`` (None if unknown) images, or bytes."""

    what: str
    done: int
    total: int | None
    in_bytes: bool = False


OnProgress = Callable[[DataProgress], None]

# Most pixels that a side loses in copies that are cropped to a multiple of 12 or less.
_MOST_CROPPED = 11


@dataclass(frozen=True)
class Source:
    """The addresses of a set: one archive (zip, tar, tgz), or one address per image.

    ``checksum`` is ``md5:…`` or ``sha256:…`` of the archive; it is empty if nobody states one, and
    the unpacked images are checked by number, size and decodability only. ``origin`` names the
    source of the copy and of the checksum.
    """

    addresses: tuple[str, ...]
    checksum: str
    origin: str


@dataclass(frozen=True)
class KnownSet:
    """A set of HQ images.

    ``images`` are their names without suffix, ``a|b`` where copies differ in spelling. ``longer``
    and ``shorter`` are (smallest, largest) sides in pixels, None where they vary. ``folder`` is
    the set's place below the data root, ``inside`` the folder of the archive that holds it. A set
    without ``source`` must be requested at ``page``.
    """

    name: str
    use: Use
    images: tuple[str, ...]
    longer: tuple[int, int] | None
    shorter: tuple[int, int] | None
    folder: str
    page: str
    terms: str
    source: Source | None
    inside: str = ""
    aliases: tuple[str, ...] = ()
    note: str = ""

    @property
    def size(self) -> str:
        """The sides in words, the longer one first (images may be upright)."""
        if self.longer is None:
            return "varies"
        longer, shorter = (
            None
            if side is None
            else f"{side[0]}"
            if side[0] == side[1]
            else f"{side[0]}–{side[1]}"
            for side in (self.longer, self.shorter)
        )
        return f"longer side {longer}" if shorter is None else f"{longer} × {shorter}"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that are scored on it; all tasks for a training or validation set."""
        if self.use != "test":
            return tuple(TASKS)
        return tuple(task.name for task in TASKS.values() if self.name in task.benchmarks)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _numbered(pattern: str, first: int, last: int) -> tuple[str, ...]:
    return tuple(pattern.format(number) for number in range(first, last + 1))


_ETH = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
_DIV2K_TERMS = "academic research only; the photographs remain their owners'"
_DIV2K_ORIGIN = "ETH Zürich; MD5 as torchSR and others pin it"
_BSDS = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/"
_BSDS_TERMS = "non-commercial research and education"
_BSDS300 = Source(
    (f"{_BSDS}grouping/segbench/BSDS300-images.tgz",),
    "sha256:a5f7d0e49fe135c75518a3543ced24470156fd69305ae77845dff2a5138652b4",
    "UC Berkeley, who state no checksum; SHA-256 as public downloaders of it pin it",
)
# Uncropped PNG copies, on which published ×2, ×3 and ×4 figures are scored.
_EDSR = Source(
    ("https://cv.snu.ac.kr/research/EDSR/benchmark.tar",),
    "md5:4ace41d33c2384b97e6b320cd0afd6ba",
    "the authors of EDSR; MD5 as torchSR pins it",
)
# The set has no archive of its own; the files of a fixed commit cannot change.
_CLASSIC5 = (
    "https://raw.githubusercontent.com/JingyunLiang/SwinIR/"
    "33f616625268d08ba600f8db89388eec0328edb1/testsets/classic5/"
)
_UNSTATED = "none stated: for evaluation, not for redistribution"

_BSDS300_TEST = _words(
    "101085 101087 102061 103070 105025 106024 108005 108070 108082 109053 119082 12084 123074"
    " 126007 130026 134035 14037 143090 145086 147091 148026 148089 156065 157055 159008"
    " 160068 16077 163085 167062 167083 170057 175032 175043 182053 189080 19021 196073 197017"
    " 208001 210088 21077 216081 219090 220075 223061 227092 229036 236037 24077 241004 241048"
    " 253027 253055 260058 271035 285079 291000 295087 296007 296059 299086 300091 302008"
    " 304034 304074 306005 3096 33039 351093 361010 37073 376043 38082 38092 385039 41033"
    " 41069 42012 42049 43074 45096 54082 55073 58060 62096 65033 66053 69015 69020 69040"
    " 76053 78004 8023 85048 86000 86016 86068 87046 89072 97033"
)
# The 68 of the 100 images that Roth and Black chose (Fields of Experts, IJCV 2009).
_BSD68 = tuple(
    name for name in _BSDS300_TEST[: _BSDS300_TEST.index("351093") + 1] if name != "156065"
)
_MANGA109 = _words(
    "AisazuNihaIrarenai AkkeraKanjinchou Akuhamu AosugiruHaru AppareKappore Arisa ARMS"
    " BakuretsuKungFuGirl Belmondo BEMADER_P BokuHaSitatakaKun BurariTessenTorimonocho"
    " ByebyeC-BOY Count3DeKimeteAgeru DollGun Donburakokko DualJustice EienNoWith EvaLady"
    " EverydayOsakanaChan GakuenNoise GarakutayaManta GinNoChimera GOOD_KISS_Ver2 Hamlet"
    " HanzaiKousyouninMinegishiEitarou HaruichibanNoFukukoro HarukaRefrain HealingPlanet"
    " HeiseiJimen HighschoolKimengumi_vol01 HighschoolKimengumi_vol20 HinagikuKenzan"
    " HisokaReturns JangiriPonpon JijiBabaFight Joouari Jyovolley KarappoHighschool"
    " KimiHaBokuNoTaiyouDa KoukouNoHitotachi KuroidoGanka KyokugenCyclone LancelotFullThrottle"
    " LoveHina_vol01 LoveHina_vol14 MAD_STONE MadouTaiga MagicianLoad MagicStarGakuin"
    " MariaSamaNihaNaisyo MayaNoAkaiKutsu MemorySeijin MeteoSanStrikeDesu MiraiSan"
    " MisutenaideDaisy MoeruOnisan_vol01 MoeruOnisan_vol19 MomoyamaHaikagura MukoukizuNoChonbo"
    " MutekiBoukenSyakuma Nekodama NichijouSoup Ningyoushi OhWareraRettouSeitokai OL_Lunch"
    " ParaisoRoad PikaruGenkiDesu PLANET7 PlatinumJungle PrayerHaNemurenai PrismHeart"
    " PsychoStaff Raphael ReveryEarth RinToSiteSippuNoNaka RisingGirl Saisoku SaladDays_vol01"
    " SaladDays_vol18 SamayoeruSyonenNiJunaiWo SeisinkiVulnus ShimatteIkouze_vol01"
    " ShimatteIkouze_vol26 SonokiDeABC SyabondamaKieta TaiyouNiSmash TapkunNoTanteisitsu"
    " TasogareTsushin TennenSenshiG TensiNoHaneToAkumaNoShippo TetsuSan"
    " That'sIzumiko|ThatsIzumiko_000 TotteokiNoABC ToutaMairimasu TouyouKidan TsubasaNoKioku"
    " UchiNoNyan'sDiary|UchiNoNyansDiary_000 UchuKigekiM774 UltraEleven UnbalanceTokyo"
    " WarewareHaOniDearu YamatoNoHane YasasiiAkuma YouchienBoueigumi YoumaKourin"
    " YukiNoFuruMachi YumeiroCooking YumeNoKayoiji"
)
_LIVE1 = _words(
    "bikes building2 buildings caps carnivaldolls cemetry churchandcapitol coinsinfountain"
    " dancers flowersonih35 house lighthouse|lighthouse3 lighthouse2 manfishing monarch ocean"
    " paintedhouse parrots plane rapids sailing1 sailing2 sailing3 sailing4 statue stream"
    " studentsculpture woman womanhat"
)
_CLASSIC = ("baboon", "barbara", "boats|boat", "lena|lenna", "peppers|pepper")

SETS: dict[str, KnownSet] = {
    known.name: known
    for known in (
        KnownSet(
            name="DIV2K-train",
            use="training",
            images=_numbered("{:04}", 1, 800),
            longer=(2040, 2040),
            shorter=None,
            folder="DIV2K/DIV2K_train_HR",
            page=_ETH,
            terms=_DIV2K_TERMS,
            source=Source(
                (f"{_ETH}DIV2K_train_HR.zip",),
                "md5:bdc2d9338d4e574fe81bf7d158758658",
                _DIV2K_ORIGIN,
            ),
            inside="DIV2K_train_HR",
            aliases=("DIV2K_train_HR", "DIV2K"),
            note="train on both halves by: --data ROOT/DIV2K",
        ),
        KnownSet(
            name="DIV2K-valid",
            use="validation",
            images=_numbered("{:04}", 801, 900),
            longer=(2040, 2040),
            shorter=None,
            folder="DIV2K/DIV2K_valid_HR",
            page=_ETH,
            terms=_DIV2K_TERMS,
            source=Source(
                (f"{_ETH}DIV2K_valid_HR.zip",),
                "md5:9fcdda83005c5e5997799b69f955ff88",
                _DIV2K_ORIGIN,
            ),
            inside="DIV2K_valid_HR",
            aliases=("DIV2K_valid_HR", "DIV2K100"),
        ),
        KnownSet(
            name="Set5",
            use="test",
            images=("baby", "bird", "butterfly", "head", "woman"),
            longer=(256, 512),
            shorter=(228, 512),
            folder="Set5",
            page="http://people.rennes.inria.fr/Aline.Roumy/results/SR_BMVC12.html",
            terms=_UNSTATED,
            source=_EDSR,
            inside="Set5/HR",
        ),
        KnownSet(
            name="Set14",
            use="test",
            images=(
                "baboon", "barbara", "bridge", "coastguard", "comic", "face", "flowers|flower",
                "foreman", "lenna|lena", "man", "monarch", "pepper|peppers", "ppt3|ppt", "zebra",
            ),
            longer=(276, 768),
            shorter=(250, 576),
            folder="Set14",
            page="https://sites.google.com/site/romanzeyde/research-interests",
            terms=_UNSTATED,
            source=_EDSR,
            inside="Set14/HR",
        ),
        KnownSet(
            name="B100",
            use="test",
            images=_BSDS300_TEST,
            longer=(481, 481),
            shorter=(321, 321),
            folder="B100",
            page=f"{_BSDS}bsds/",
            terms=_BSDS_TERMS,
            source=_BSDS300,
            inside="images/test",
            aliases=("BSD100", "BSDS100"),
            note="the 100 test photographs of BSDS300",
        ),
        KnownSet(
            name="Urban100",
            use="test",
            images=_numbered("img{:03}", 1, 100),
            longer=None,
            shorter=None,
            folder="Urban100",
            page="https://github.com/jbhuang0604/SelfExSR",
            terms="photographs from Flickr; none stated with the archive",
            source=_EDSR,
            inside="Urban100/HR",
        ),
        KnownSet(
            name="Manga109",
            use="test",
            images=_MANGA109,
            longer=None,
            shorter=None,
            folder="Manga109",
            page="http://www.manga109.org/en/",
            terms="academic use by those who applied; never pass it on",
            source=None,
            note="one page of each of the 109 volumes, named as the volume",
        ),
        KnownSet(
            name="CBSD68",
            use="test",
            images=_BSD68,
            longer=(481, 481),
            shorter=(321, 321),
            folder="CBSD68",
            page=f"{_BSDS}bsds/",
            terms=_BSDS_TERMS,
            source=_BSDS300,
            inside="images/test",
            aliases=("CBSDS68", "BSD68-colour", "BSD68-color", "color-BSD68"),
            note="68 of B100's photographs in colour; BSD68 is their grey form, another set",
        ),
        KnownSet(
            name="Kodak24",
            use="test",
            images=_numbered("kodim{:02}", 1, 24),
            longer=(768, 768),
            shorter=(512, 512),
            folder="Kodak24",
            page="https://r0k.us/graphics/kodak/",
            terms="released by Kodak for unrestricted use",
            source=Source(
                _numbered("https://r0k.us/graphics/kodak/kodak/kodim{:02}.png", 1, 24),
                "",
                "Rich Franzen, who states no checksum",
            ),
            aliases=("Kodak",),
            note="FFDNet's crops of 500 × 500 go by the same name and score differently",
        ),
        KnownSet(
            name="LIVE1",
            use="test",
            images=_LIVE1,
            longer=(610, 768),
            shorter=(438, 512),
            folder="LIVE1",
            page="https://live.ece.utexas.edu/research/quality/subjective.htm",
            terms="free with the copyright notice and a citation; a form gives the password",
            source=None,
            note="the 29 undistorted images (refimgs/) of the LIVE database, release 2",
        ),
        KnownSet(
            name="Classic5",
            use="test",
            images=_CLASSIC,
            longer=(512, 512),
            shorter=(512, 512),
            folder="Classic5",
            page="http://mmlab.ie.cuhk.edu.hk/projects/ARCNN.html",
            terms=_UNSTATED,
            source=Source(
                tuple(f"{_CLASSIC5}{names.split('|')[0]}.bmp" for names in _CLASSIC),
                "",
                "the authors of SwinIR, at a fixed commit; no checksum is stated",
            ),
        ),
    )
}  # fmt: skip


def known_set(name: str) -> KnownSet | None:
    """The known set of a name or an alias, in any case, or None."""
    for known in SETS.values():
        if _key(name) in map(_key, (known.name, *known.aliases)):
            return known
    return None


def get_set(name: str) -> KnownSet:
    """``known_set``; raises UserError for a name that no known set has."""
    known = known_set(name)
    if known is None:
        raise unknown("set", name, SETS)
    return known


def data_roots(data_root: str | Path | None = None) -> list[Path]:
    """``data_root`` and $BBNAS_DATA, as far as they are given."""
    given = [data_root, os.environ.get("BBNAS_DATA")]
    return list(dict.fromkeys(Path(root) for root in given if root))


def need_roots(data_root: str | Path | None = None) -> list[Path]:
    """``data_roots``, of which there must be one.

    Raises:
        UserError: none is given, or one is no folder.
    """
    roots = data_roots(data_root)
    if not roots:
        raise UserError(
            "no data root: give --data-root DIR or set BBNAS_DATA to the folder that holds the "
            "sets, such as Set5/ and DIV2K/"
        )
    for root in roots:
        if root.exists() and not root.is_dir():
            raise UserError(f"{root}: a file, not a folder; give the folder that holds the sets")
    return roots


def folders_below(roots: Sequence[Path]) -> dict[str, Path]:
    """Folders that may hold a set, by name without case, spaces, ``_`` and ``-``.

    The usual layouts are ``Set5/``, ``benchmark/Set5/``, ``DIV2K/DIV2K_train_HR/``. Of equal names
    the one below the first root counts.
    """
    folders: dict[str, Path] = {}
    for root in reversed(roots):
        for parent in (root / "benchmark", root / "DIV2K", root):
            if parent.is_dir():
                inside = sorted(place for place in parent.iterdir() if place.is_dir())
                folders.update({_key(place.name): place for place in inside})
    return folders


def find_set(name: str, roots: Sequence[Path]) -> Path | None:
    """The folder of a set's HQ images, whether the set is known or not; None if there is none."""
    below = folders_below(roots)
    names = [name]
    known = known_set(name)
    if known is not None:
        names = [Path(known.folder).name, known.name, *known.aliases]
        # The folder DIV2K holds both halves of DIV2K: it is the folder of neither.
        names = [one for one in names if _key(one) != "div2k"]
    for one in names:
        if _key(one) in below:
            return high_resolution(below[_key(one)])
    return None


def high_resolution(folder: Path) -> Path:
    """The folder of HQ images in a set's folder: ``HR/`` or an equivalent, or the folder itself.

    Uncropped copies take precedence over copies cropped to a multiple of the scale.
    """
    inside = {place.name.lower(): place for place in folder.iterdir() if place.is_dir()}
    for name in ("hr", "gt", "original", "image_srf_2", "image_srf_4", "image_srf_3", "gtmod12"):
        if name in inside:
            return inside[name]
    return folder


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


@dataclass(frozen=True)
class Checked:
    """The result of checking a known set in ``folder``; None if the set was not found.

    ``missing`` are names of the set's images, ``surplus`` files that it does not have.
    ``undecodable`` are (file, reason), ``odd`` are (file, size) of another size than the set's.
    """

    known: KnownSet
    folder: Path | None
    found: int = 0
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    undecodable: tuple[tuple[str, str], ...] = ()
    odd: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the set is complete, decodable, of the right sizes, and has no other files."""
        wrong = self.missing or self.surplus or self.undecodable or self.odd
        return self.folder is not None and not wrong

    @property
    def problem(self) -> str:
        """The first fault in a few words; empty if there is none."""
        if self.folder is None:
            return "not there"
        for files, words in (
            ([name for name, _ in self.undecodable], "cannot be decoded"),
            (list(self.missing), "missing"),
            ([name for name, _ in self.odd], f"not of the set's size ({self.known.size})"),
            (list(self.surplus), "not of the set"),
        ):
            if files:
                more = f" and {len(files) - 3} more" if len(files) > 3 else ""
                return f"{len(files)} {words}: {', '.join(files[:3])}{more}"
        return ""


def check_set(
    known: KnownSet, data_root: str | Path | None = None, on_progress: OnProgress | None = None
) -> Checked:
    """Find a set below the data roots and decode all its images.

    Raises:
        UserError: there is no data root.
    """
    roots = need_roots(data_root)
    if not any(root.is_dir() for root in roots):
        raise UserError(f"{roots[0]}: no such folder; give the folder that holds the sets")
    folder = find_set(known.name, roots)
    return Checked(known, None) if folder is None else check_folder(known, folder, on_progress)


def check_folder(known: KnownSet, folder: Path, on_progress: OnProgress | None = None) -> Checked:
    """Compare the images of a folder with those that the set should have."""
    files, _ = find_files(folder)
    expected = spellings(known)
    stems = [stem_of(Path(name).stem) for name, _ in files]
    missing: list[str] = []
    surplus: list[str] = []
    # Some copies number the images; then names tell nothing.
    if set(stems) & expected.keys() or not _are_numbers(stems, len(known.images)):
        have = {expected[stem] for stem in stems if stem in expected}
        missing = [name for name in dict.fromkeys(expected.values()) if name not in have]
        seen = set()
        for (name, _), stem in zip(files, stems, strict=True):
            image = expected.get(stem)
            if image is None or image in seen:
                surplus.append(name)
            seen.add(image)
    undecodable, odd = [], []
    with reader_warnings():
        sizes = map_in_order(_decoded_size, (path for _, path in files))
        for done, ((name, _), size) in enumerate(zip(files, sizes, strict=True), 1):
            if on_progress is not None:
                on_progress(DataProgress(f"checking {known.name}", done, len(files)))
            if isinstance(size, str):
                undecodable.append((name, size))
            elif name not in surplus and not _fits(known, size):
                odd.append((name, f"{size[0]}×{size[1]}"))
    return Checked(
        known,
        folder,
        len(files),
        tuple(missing),
        tuple(surplus),
        tuple(undecodable),
        tuple(odd),
    )


def _decoded_size(path: Path) -> tuple[int, int] | str:
    """(width, height), or the reason why the file cannot be decoded."""
    try:
        height, width = read(path)[0].shape[:2]
    except Exception as error:  # noqa: BLE001 - decoders raise any exception on damaged files
        return reason(error)
    return width, height


def _fits(known: KnownSet, size: tuple[int, int]) -> bool:
    return all(
        bounds is None or bounds[0] - _MOST_CROPPED <= side <= bounds[1]
        for side, bounds in ((max(size), known.longer), (min(size), known.shorter))
    )


def spellings(known: KnownSet) -> dict[str, str]:
    """The set's image for every ``stem_of`` that a copy may give it."""
    return {
        stem_of(spelling): names.split("|")[0]
        for names in known.images
        for spelling in names.split("|")
    }


def stem_of(name: str) -> str:
    """``baby`` for baby, baby_GT, baby_HR; ``img001`` for img_001_SRF_2_HR."""
    plain = re.sub(r"_(gt|hr)$", "", name.lower())
    return re.sub(r"[^a-z0-9]", "", re.sub(r"_srf_\d$", "", plain))


def _are_numbers(stems: list[str], count: int) -> bool:
    """Whether files are numbered from 0 or 1, such as 1.png, img_001.png or 0000.png."""
    matches = [re.fullmatch(r"(?:img|image|test)?(\d+)", stem) for stem in stems]
    numbers = sorted(int(match[1]) for match in matches if match)
    return len(matches) == count and numbers in ([*range(count)], [*range(1, count + 1)])
