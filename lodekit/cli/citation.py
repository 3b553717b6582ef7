"""References to cite, as BibTeX: ``lodekit --citation``."""

from lodekit._version import __version__

CITATION = f"""\
@software{{lodekit,
  title = {{lodekit: kernel models of atoms with long-range electrostatics}},
  author = {{{{The lodekit developers}}}},
  version = {{{__version__}}},
}}

@article{{grisafi2019incorporating,
  title = {{Incorporating long-range physics in atomic-scale machine learning}},
  author = {{Grisafi, Andrea and Ceriotti, Michele}},
  journal = {{The Journal of Chemical Physics}},
  volume = {{151}},
  pages = {{204105}},
  year = {{2019}},
  doi = {{10.1063/1.5128375}},
}}

@article{{bartok2013representing,
  title = {{On representing chemical environments}},
  author = {{Bartók, Albert P. and Kondor, Risi and Csányi, Gábor}},
  journal = {{Physical Review B}},
  volume = {{87}},
  pages = {{184115}},
  year = {{2013}},
  doi = {{10.1103/PhysRevB.87.184115}},
}}"""
