"""Words that attackers try first with digits and signs around them: `Sommer24`, `Passwort1!`."""

# In lower case, without accents, and beside that in the German spelling without umlauts.
_TEXT = """
    january february march april may june july august september october november december
    januar februar marz maerz mai juni juli oktober dezember
    jan feb mar apr jun jul aug sep sept oct okt nov dec dez
    spring summer autumn winter fruhling fruehling fruhjahr fruehjahr sommer herbst
    monday tuesday wednesday thursday friday saturday sunday today tomorrow weekend
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag heute morgen
    wochenende
    easter christmas halloween newyear ostern weihnachten weihnacht neujahr silvester fasching
    karneval
    password passwort passwords passwoerter passw passwd passphrase kennwort losung
    losungswort pass pwd
    initial initialpasswort initialpassword initialkennwort start startpasswort startpassword
    startkennwort
    default standard standardpasswort defaultpassword temporary temporaer temporar temp
    einmalpasswort
    change changeme changeit andern aendern andermich aendermich neu neues new newpassword
    neuespasswort
    secret geheim topsecret geheimnis strenggeheim private privat security sicher sicherheit
    secure
    welcome welcomeback willkommen hello hallo hallowelt helloworld moin servus gruezi bonjour
    goodmorning gutenmorgen
    admin administrator administration root system master boss chef chefin manager owner
    operator superuser sysadmin
    user username users benutzer benutzername nutzer account konto gast guest login logon
    anmeldung anmelden signin
    zugang access intranet internet netzwerk network server computer laptop office buro buero
    windows outlook
    firma company unternehmen betrieb buchhaltung personal vertrieb verwaltung einkauf verkauf
    lager werkstatt marketing sales finance support
    team kollege kollegin kollegen mitarbeiter mitarbeiterin employee employees staff azubi
    praktikant trainee intern onboarding
    test tester testing testpasswort testpassword testuser demo example beispiel muster sample
    probe versuch
    qwertz qwerty qwert asdf asdfgh yxcvbn zxcvbn azerty
    berlin hamburg munchen muenchen koln koeln frankfurt stuttgart dusseldorf duesseldorf
    leipzig dortmund essen bremen
    dresden hannover nurnberg nuernberg duisburg bochum wuppertal bielefeld bonn munster
    muenster mannheim karlsruhe
    augsburg wiesbaden monchengladbach gelsenkirchen aachen braunschweig kiel chemnitz halle
    magdeburg freiburg krefeld
    mainz lubeck luebeck erfurt rostock kassel potsdam saarbrucken saarbruecken oldenburg
    osnabruck heidelberg darmstadt
    regensburg wurzburg wuerzburg ingolstadt ulm gottingen goettingen wolfsburg heilbronn
    passau jena trier
    wien vienna graz linz salzburg innsbruck zurich zuerich basel bern genf geneva luzern
    london paris madrid barcelona rome rom milan mailand amsterdam rotterdam brussels brussel
    bruessel prague prag
    warsaw warschau budapest lisbon lissabon athens athen dublin edinburgh manchester
    liverpool birmingham
    oslo stockholm copenhagen kopenhagen helsinki moscow moskau istanbul
    newyork chicago boston seattle houston dallas denver miami atlanta phoenix austin
    washington losangeles sanfrancisco
    california texas florida toronto vancouver montreal sydney melbourne tokyo peking beijing
    singapore dubai
    deutschland germany german deutsch osterreich oesterreich austria schweiz switzerland
    england britain america amerika europa europe usa
    bayern hessen sachsen thuringen thueringen brandenburg niedersachsen nordrhein westfalen
    saarland
    love iloveyou ichliebedich liebe schatz schatzi mausi hasi engel angel prinzessin princess
    baby sunshine sonne sonnenschein
    mama papa familie family kinder oma opa freund freundin friends hund katze dragon drache
    monkey tiger pferd
    football fussball fusball soccer baseball basketball hockey tennis handball champion
    bayernmunchen bayernmuenchen schalke borussia werder
    ferrari porsche mercedes audi volkswagen harley ducati yamaha
    superman batman spiderman starwars pokemon minecraft nintendo playstation
    freedom freiheit geld money million lucky gluck glueck letmein access trustno
    apple google facebook microsoft amazon samsung iphone android
    kaffee coffee schokolade chocolate pizza bier banane banana
    blau rot gruen grun gelb schwarz weiss blue green yellow black white purple orange
    urlaub urlaubszeit ferien holiday holidays vacation reise reisen travel strand beach meer
    sonnenuntergang hotel camping
    garten garden gartenhaus zuhause daheim home myhome haus house wohnung balkon terrasse kuche
    kueche keller
    liebling lieblinge darling sweetheart honey susse suesse spatz mausebar mausebaer
    blume blumen flower flowers rose rosen tulpe tulpen sonnenblume lilie baum wald wiese
    abteilung abteilungen department projekt project meeting termin kunde kunden customer service
    sekretariat empfang zentrale rechnung bestellung geschaft geschaeft arbeit arbeiten work
    drucker printer tastatur keyboard rechner telefon phone handy nummer number bildschirm monitor
    mutter vater bruder schwester mother father brother sister tochter sohn enkel hochzeit
    geburtstag birthday feierabend pause kantine
    hase vogel fisch maus mouse pferde katzen hunde schmetterling einhorn unicorn
    himmel stern sterne mond sonnenstrahl regenbogen rainbow wasser water feuer erde traum dream
    leben musik music gitarre guitar schule school student lehrer
    apfel kirsche erdbeere ananas tomate kuchen kekse cookie cookies kase kaese cheese milch
    zucker honig
    troubador troubadour
    musterroll anyscale
"""

STEMS = frozenset(_TEXT.split())
