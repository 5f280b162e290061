"""Imported by every service: Python looks for garbage after each 700 new objects, of which a row
of a database alone makes some. What was imported until now is none."""
import gc

gc.freeze()
gc.set_threshold(20000, 20, 50)
