"""Units: the units of measure that figures are brought to one notation with."""

from __future__ import annotations

from typing import Final

CURRENCIES: Final = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
"""The dimension that each currency sign stands for."""

_UNIT_LINES: Final = """
time 0.001 ms millisecond milliseconds
time 1 s sec secs second seconds
time 60 min mins minute minutes
time 3600 h hr hrs hour hours
time 86400 day days
time 604800 week weeks
month 1 month months
month 12 year years yr yrs
month 120 decade decades
month 1200 century centuries
length 0.001 mm millimetre millimetres millimeter millimeters
length 0.01 cm centimetre centimetres centimeter centimeters
length 1 m metre metres meter meters
length 1000 km kilometre kilometres kilometer kilometers
length 1609.344 mile miles
length 0.3048 ft foot feet
length 0.0254 inch inches
length 0.9144 yard yards
mass 0.000001 mcg microgram micrograms
mass 0.001 mg milligram milligrams
mass 1 g gram grams gramme grammes
mass 1000 kg kilogram kilograms kilo kilos
mass 1000000 t tonne tonnes
volume 0.001 ml millilitre millilitres milliliter milliliters
volume 1 l litre litres liter liters
bit 1 bit bits
bit 1000 kbit kilobit kilobits kbps
bit 1000000 mbit megabit megabits mbps
bit 1000000000 gbit gigabit gigabits gbps
byte 1 byte bytes
byte 1000 kb kilobyte kilobytes
byte 1000000 mb megabyte megabytes
byte 1000000000 gb gigabyte gigabytes
byte 1000000000000 tb terabyte terabytes
power 1 w watt watts
power 1000 kw kilowatt kilowatts
power 1000000 mw megawatt megawatts
power 1000000000 gw gigawatt gigawatts
power 1000000000000 tw terawatt terawatts
energy 1 wh
energy 1000 kwh
energy 1000000 mwh
energy 1000000000 gwh
energy 1000000000000 twh
heat 1 calorie calories
heat 1000 kcal kilocalorie kilocalories
frequency 1 hz hertz
frequency 1000 khz kilohertz
frequency 1000000 mhz megahertz
frequency 1000000000 ghz gigahertz
percent 1 % percent
dollar 1 dollar dollars usd
euro 1 euro euros eur
pound 1 pound pounds gbp
yen 1 yen jpy
franc 1 franc francs chf
cent 1 cent cents
pence 1 penny pence
degree 1 degree degrees
celsius 1 celsius
fahrenheit 1 fahrenheit
"""
UNITS: Final = {
    word: (dimension, float(factor))
    for dimension, factor, *words in map(str.split, _UNIT_LINES.strip().split("\n"))
    for word in words
}
"""For each word, its dimension and what its number is multiplied by."""
