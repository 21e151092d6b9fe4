"""
Small apps with seeded faults, and the true answer beside each: does `find` name it, and does the price come true?
"""
