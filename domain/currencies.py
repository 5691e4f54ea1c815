"""The currencies Gotong knows: ISO 4217 codes in circulation, with their minor digits.

Without funds, metals, test and bond-market codes: nobody asks a neighbour for XAU.
State of the list: ISO 4217 maintained by SIX, amendments up to No. 180 (SLE, VED, XCG, ZWG are in; HRK, SLL, ANG, BGN,
CUC and ZWL are out).
"""

from types import MappingProxyType
from typing import Final

_WITHOUT_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_WITH_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK
DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD
KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP
PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_WITH_THREE = "BHD IQD JOD KWD LYD OMR TND"

MINOR_DIGITS: Final = MappingProxyType(
    dict.fromkeys(_WITHOUT_MINOR.split(), 0)
    | dict.fromkeys(_WITH_TWO.split(), 2)
    | dict.fromkeys(_WITH_THREE.split(), 3)
)
"""Currency code -> number of digits after the point that can be paid."""
