"""The parts of `simpledist top`; ../top.py has its loop.

terminal.py  keys, signals, terminal settings    screen.py  what keys do, and the lines of the screen
rates.py     rates from counters                 panes.py   rows and columns
"""
