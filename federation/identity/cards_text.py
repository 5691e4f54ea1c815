"""What a recovery card says, in the languages of those who keep it. Text only; `$name` marks what is filled in."""

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="$lang"><head><meta charset="utf-8"><title>$title</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
@page { size: A5; margin: 10mm }
body { font: 11pt/1.4 system-ui, sans-serif; max-width: 42em; margin: 1em auto; padding: 0 1em; color: #000;
  background: #fff }
h2 { font-size: 1.1em; margin: 0.6em 0 0.2em }
ol { columns: 3; font-family: monospace; padding-left: 2.5em; border: 1px solid #000; padding-block: 0.6em }
.did { font-family: monospace; font-size: 0.75em; overflow-wrap: anywhere }
svg { display: block; margin: 0.6em auto; max-width: 100% }
section { break-inside: avoid }
</style></head><body>
$first
<ol>$words</ol>
$qr
<p class="did">$did<br>$made</p>
$second
</body></html>
"""

TEXTS: Final[dict[str, dict[str, str]]] = {
    "id": {
        "title": "Kartu pemulihan $n dari $cards: $name",
        "what": (
            "Dua kartu mana pun dari $cards kartu ini, jika digabungkan, dapat memulihkan atau memindahkan catatan "
            "komunitas $name bila perangkat rusak, hilang, atau dicuri. Satu kartu saja tidak dapat membuka apa pun."
        ),
        "keep": (
            "Simpan di tempat yang kering, terkunci, dan aman dari api: bersama surat-surat penting, bukan di dompet."
        ),
        "apart": (
            "Setiap kartu dipegang orang yang berbeda, di rumah yang berbeda. Jangan pernah menyimpan dua kartu "
            "di satu tempat."
        ),
        "never": (
            "Jangan difoto, jangan dikirim lewat WhatsApp, surel, atau pesan apa pun, dan jangan diketik di situs "
            "web. Tidak ada petugas Gotong yang akan meminta kata-kata ini."
        ),
        "lost": (
            "Bila kartu hilang, terlihat orang lain, atau pemegangnya pindah, beri tahu pengurus pada hari yang "
            "sama agar kartu baru dibuat."
        ),
    },
    "en": {
        "title": "Recovery card $n of $cards: $name",
        "what": (
            "Any two of these $cards cards together can restore or move the records of the community $name when a "
            "device is broken, lost or stolen. One card alone opens nothing."
        ),
        "keep": "Keep it dry, locked away and safe from fire: with important papers, not in a wallet.",
        "apart": "Each card is held by a different person in a different house. Never keep two cards in one place.",
        "never": (
            "Never photograph it, never send it by WhatsApp, mail or any message, never type it into a web site. "
            "Nobody from Gotong will ever ask for these words."
        ),
        "lost": (
            "If a card is lost, was seen by someone else, or its holder moves away, tell the committee the same day "
            "so that new cards are made."
        ),
    },
}
