"""What `simpledist top` is made of; ../top.py has its loop.

terminal.py  keys, signals, and all as it was    screen.py  what keys do, and the lines of the screen
rates.py     what happens a second               panes.py   rows and columns
"""
