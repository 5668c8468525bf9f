"""Where lines lie on a page and what they form together: scale, shape, order, paragraphs, tables."""
