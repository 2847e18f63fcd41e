"""The guard for addresses that others supply: their text when they are given, and what is connected to later.

Every request that a process of ours makes goes through it, those to hosts of our own choosing too (`Origin`).

The text proves little, because names resolve anew each time. What counts is the address of the socket, so every
connection passes `check_address`, those to literal addresses included.
"""
