"""Offline replay of strategies on annotated data: would active learning help, which, how much is enough?"""
