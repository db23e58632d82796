"""The same repositories for people: pages that need no JavaScript and load nothing from elsewhere.

element    HTML as values; whatever is not an element is escaped, so nothing can be forgotten
frame      what is around every page: head, navigation, style, and the policy that lets nothing run
card       a README as HTML
index      all repositories, collections
repository a repository: card, files, one file, commits
lineage_page  what a release was made from and what was made from it, and who reproduced it
rows       which rows a repository has, filtered;  rows_page: pairs side by side, dropped rows, other tables
"""
