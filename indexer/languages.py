"""What the word index knows of languages: which stemmer reads a script, and which words tell Latin-script languages apart.

The words are each language's most frequent articles, prepositions, conjunctions and auxiliaries; no text of a few sentences
is without them. Words that several languages share count for each.
"""

from __future__ import annotations

# Snowball's name of the stemmer -> words that are frequent in that language.
FUNCTION_WORDS = {
    "english": "the of and to in is was for that with as on by are this from at were which be has have it not its",
    "german": "der die das und ist von den des mit dem nicht ein eine auf für im sich als auch wurde werden bei zu sind",
    "french": "le la les des et est une dans du que pour qui au par sur pas sont avec il ce aux plus été cette",
    "spanish": "el la los las de que en del una por con para se es como más fue su al lo sus son entre",
    "italian": "il di che la del della per un una in con sono da non dei nel alla gli si le anche più",
    "portuguese": "os as de que do da em um uma para com não por dos das ao no na se foi são",
    "dutch": "de het een van en is dat op te zijn met voor niet aan er door werd als ook bij naar uit",
    "swedish": "och att det som en på är av för med den till inte var ett har de om från vid",
    "danish": "og at det som en på er af for med den til ikke var et har de om fra ved blev",
    "norwegian": "og at det som en på er av for med den til ikke var et har de om fra ved ble",
    "finnish": "ja on ei se että oli hän joka kuin mutta myös ovat sen mukaan jotka vuonna tai ole",
    "hungarian": "az és hogy nem egy is volt meg de ez van mint csak vagy el már által után",
    "romanian": "și de în la cu din pe este care un pentru nu au mai al fost sunt prin",
    "turkish": "ve bir bu için ile da de olarak daha çok olan gibi sonra kadar en ise olduğu değil",
}
# Where none of these words stands (a name, a table): most collections of the default model's users are English.
DEFAULT = "english"

# A script that one stemmer reads best, whatever the language; Latin script goes by the words above.
SCRIPT_STEMMERS = {
    "Cyrillic": "russian",
    "Arabic": "arabic",
    "Greek": "greek",
    "Armenian": "armenian",
    "Devanagari": "hindi",
    "Tamil": "tamil",
}

# Words that ask and say nothing of what is asked for. Statements hardly hold them, so their rarity would weigh much.
QUESTION_WORDS = frozenset(
    (
        "who whom whose what which when where why how do does did is are was were can could would should will "
        "wer wen wem wessen was welche welcher welches welchen welchem wann wo wohin woher warum wieso wie "
        "qué quién quiénes cuál cuáles cuándo dónde cómo cuánto cuánta cuántos cuántas "
        "qui que quoi quel quelle quels quelles quand où pourquoi comment combien "
        "chi che cosa quale quali quando dove perché come quanto quanti quem qual quais onde quando como quantos "
        "wie wat welke wanneer waar waarom hoe "
        "кто кого кому чем что какой какая какое какие каких какую каким когда где куда откуда почему зачем как сколько чей "
        "من ما ماذا متى أين كيف لماذا كم أي هل مَن "
    ).split()
)
