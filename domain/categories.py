"""Know the categories of needs: a small codelist of our own, in Indonesian and English, mapped to two others.

Codes nest by dots: `food.rice` lies in `food`. Each maps to the OCHA cluster that
would answer it in a disaster and to one Sustainable Development Goal. The list may
grow with a release, so a reader never refuses a record for its category; only a
writer is held to the list.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from domain.errors import GotongError

CATEGORY_PATTERN: Final = r"^[a-z][a-z0-9]{1,31}(\.[a-z][a-z0-9]{1,31}){0,2}\Z"
CategoryCode = Annotated[str, Meta(pattern=CATEGORY_PATTERN)]


class CategoryUnknown(GotongError):
    """A category is not in the codelist."""

    code: ClassVar[str] = "CATEGORY_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Category:
    """A category; `ocha` names a cluster of the humanitarian system, `sdg` a goal (1 to 17)."""

    code: str
    name_id: str
    name_en: str
    ocha: str
    sdg: int

    @property
    def parent(self) -> str | None:
        """Return the code one level up, or None at the top."""
        return self.code.rpartition(".")[0] or None


# code | Indonesian | English | OCHA cluster | SDG
_TABLE: Final = """
food                   | Pangan                     | Food                             | Food Security      | 2
food.rice              | Beras dan sembako          | Rice and staples                 | Food Security      | 2
food.meals             | Makanan siap santap        | Cooked meals                     | Food Security      | 2
food.baby              | Makanan bayi dan anak      | Baby and child food              | Nutrition          | 2
food.farming           | Pertanian dan kebun        | Farming and gardens              | Food Security      | 2
water                  | Air                        | Water                            | WASH               | 6
water.drinking         | Air minum                  | Drinking water                   | WASH               | 6
water.sanitation       | Sanitasi dan kebersihan    | Sanitation and hygiene           | WASH               | 6
shelter                | Tempat tinggal             | Shelter                          | Shelter            | 11
shelter.emergency      | Hunian darurat dan tenda   | Emergency shelter and tents      | Shelter            | 11
shelter.repair         | Perbaikan rumah            | House repair                     | Shelter            | 11
shelter.household      | Perlengkapan rumah tangga  | Household items                  | Shelter            | 1
clothing               | Pakaian dan selimut        | Clothing and blankets            | Shelter            | 1
health                 | Kesehatan                  | Health                           | Health             | 3
health.ambulance       | Ambulans dan pengawalan    | Ambulance and escort             | Health             | 3
health.accident        | Korban kecelakaan          | Accident victims                 | Health             | 3
health.blood           | Donor darah                | Blood donation                   | Health             | 3
health.elderly         | Lansia dan perawatan       | Elderly people and care          | Health             | 3
health.mother          | Ibu dan anak               | Mothers and children             | Nutrition          | 3
health.mental          | Kesehatan jiwa             | Mental health                    | Health             | 3
medical                | Bantuan medis              | Medical aid                      | Health             | 3
medical.supplies       | Obat dan alat medis        | Medicines and supplies           | Health             | 3
education              | Pendidikan                 | Education                        | Education          | 4
education.books        | Buku dan taman baca        | Books and reading corners        | Education          | 4
education.equipment    | Alat belajar               | Learning equipment               | Education          | 4
education.teaching     | Pengajar dan pendamping    | Teachers and tutors              | Education          | 4
education.digital      | Belajar digital dan coding | Digital skills and coding        | Education          | 4
education.fees         | Biaya sekolah              | School fees                      | Education          | 4
environment            | Lingkungan                 | Environment                      | Early Recovery     | 13
environment.river      | Sungai dan pesisir         | Rivers and coasts                | Early Recovery     | 14
environment.waste      | Sampah dan daur ulang      | Waste and recycling              | WASH               | 12
environment.trees      | Penanaman pohon            | Tree planting                    | Early Recovery     | 15
livelihood             | Penghidupan                | Livelihood                       | Early Recovery     | 8
livelihood.cooperative | Koperasi dan usaha kecil   | Co-operatives and small business | Early Recovery     | 8
livelihood.tools       | Alat kerja                 | Tools of a trade                 | Early Recovery     | 8
livelihood.training    | Pelatihan kerja            | Vocational training              | Early Recovery     | 8
transport              | Transportasi               | Transport                        | Logistics          | 11
energy                 | Energi dan penerangan      | Energy and light                 | Shelter            | 7
communication          | Komunikasi dan informasi   | Communication and information    | Telecommunications | 9
infrastructure         | Jalan, jembatan, bangunan  | Roads, bridges, buildings        | Early Recovery     | 9
protection             | Perlindungan               | Protection                       | Protection         | 16
protection.missing     | Orang hilang               | Missing people                   | Protection         | 16
protection.children    | Perlindungan anak          | Child protection                 | Protection         | 16
rescue                 | Pencarian dan penyelamatan | Search and rescue                | Coordination       | 11
culture                | Seni, budaya, olahraga     | Arts, culture, sport             | Education          | 11
other                  | Lainnya                    | Other                            | Multi-sector       | 17
"""


def _read(line: str) -> Category:
    code, name_id, name_en, ocha, sdg = (cell.strip() for cell in line.split("|"))
    return Category(code, name_id, name_en, ocha, int(sdg))


CATEGORIES: Final = MappingProxyType({row.code: row for row in map(_read, _TABLE.strip().splitlines())})


def category(code: str) -> Category:
    """Return the category of `code`, or raise CategoryUnknown."""
    found = CATEGORIES.get(code)
    if found is None:
        raise CategoryUnknown(f"{code!r} is not in the codelist of categories", category=code[:64])
    return found


def category_path(code: str) -> list[str]:
    """Return the codes from the top down to `code`: "food.rice" -> ["food", "food.rice"]. Unknown codes too."""
    parts = code.split(".")
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]
