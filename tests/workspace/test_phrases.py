"""The phrases that quick add, forms, the API and `nf` understand, and those that are no dates.

One grammar reads them for every door, so that they stand here once. A line of a table is: the line
that is typed, when it is due in Madrid, how it repeats, and the title that is left.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from workspace.tasks import quick_add
from workspace.tasks.quick_add import parse, parse_words

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)  # a Monday; half past ten in Madrid
MADRID = ZoneInfo("Europe/Madrid")

PHRASES = {
    "en": """
Meeting Friday 18 December | 12-18 |  | Meeting
Meeting Friday, 18 December at 10:00 | 12-18 10:00 |  | Meeting
Meeting Friday 17 December | 12-17 |  | Meeting
Meeting 18 December Friday | 12-18 |  | Meeting
Meeting Fri 18 Dec 17:00 with Bob | 12-18 17:00 |  | Meeting with Bob
Meeting next friday 18 december | 12-18 |  | Meeting
Meeting Friday 18th | 12-18 |  | Meeting
Meeting Friday 18 | 12-18 |  | Meeting
Watch Friday the 13th | 12-13 |  | Watch
rest fri 12/4 | 12-04 |  | rest
rest 12/4 17:00 | 12-04 17:00 |  | rest
rest Mon. 3 Dec. | 12-03 |  | rest
Stretch every 3rd day | 11-30 | DAILY;INTERVAL=3 | Stretch
rest every 2nd week | 11-30 | WEEKLY;INTERVAL=2 | rest
rest every second week | 11-30 | WEEKLY;INTERVAL=2 | rest
rest every third month | 11-30 | MONTHLY;INTERVAL=3 | rest
rest every other day | 11-30 | DAILY;INTERVAL=2 | rest
rest every 3 days | 11-30 | DAILY;INTERVAL=3 | rest
rest every two weeks | 11-30 | WEEKLY;INTERVAL=2 | rest
rest every day | 11-30 | DAILY | rest
rest each day | 11-30 | DAILY | rest
rest every week | 11-30 | WEEKLY | rest
rest every month | 11-30 | MONTHLY | rest
rest every year | 11-30 | YEARLY | rest
rest every quarter | 11-30 | MONTHLY;INTERVAL=3 | rest
Pay every month on the 2nd Wednesday | 12-09 | MONTHLY;BYDAY=2WE | Pay
Pay every month on the last friday | 12-25 | MONTHLY;BYDAY=-1FR | Pay
Pay every 2 months on the first monday | 12-07 | MONTHLY;INTERVAL=2;BYDAY=1MO | Pay
rest every 3 months on the 15th | 12-15 | MONTHLY;INTERVAL=3;BYMONTHDAY=15 | rest
rest every other month on the last day | 11-30 | MONTHLY;INTERVAL=2;BYMONTHDAY=-1 | rest
rest every 6 months on the last day | 11-30 | MONTHLY;INTERVAL=6;BYMONTHDAY=-1 | rest
rest every month on the 1st and 15th | 12-01 | MONTHLY;BYMONTHDAY=1,15 | rest
rest every month on day 15 | 12-15 | MONTHLY;BYMONTHDAY=15 | rest
rest every month on day 30, or the last day | 11-30 | MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1 | rest
rest monthly on the 1st | 12-01 | MONTHLY;BYMONTHDAY=1 | rest
rest on the 15th of every month | 12-15 | MONTHLY;BYMONTHDAY=15 | rest
rest first monday of each month | 12-07 | MONTHLY;BYDAY=1MO | rest
rest the last friday of every month | 12-25 | MONTHLY;BYDAY=-1FR | rest
rest every last day of the month | 11-30 | MONTHLY;BYMONTHDAY=-1 | rest
rest every last day of february | 2027-02-28 | YEARLY;BYMONTH=2;BYMONTHDAY=-1 | rest
rest every 1st | 12-01 | MONTHLY;BYMONTHDAY=1 | rest
rest every 15th of the month | 12-15 | MONTHLY;BYMONTHDAY=15 | rest
rest every second thursday of the month | 12-10 | MONTHLY;BYDAY=2TH | rest
Work every monday to friday | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | Work
Work every mon-fri at 9 | 12-01 09:00 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | Work
Work every weekday | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | Work
Work on weekdays | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | Work
Work weekdays at 9 | 12-01 09:00 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | Work
mon, wed and fri 7am gym | 12-02 07:00 | WEEKLY;BYDAY=MO,WE,FR | gym
gym mon, wed and fri 7am | 12-02 07:00 | WEEKLY;BYDAY=MO,WE,FR | gym
gym every mon/wed/fri | 11-30 | WEEKLY;BYDAY=MO,WE,FR | gym
gym every monday, wednesday & friday | 11-30 | WEEKLY;BYDAY=MO,WE,FR | gym
gym tue and thu 18:00 | 12-01 18:00 | WEEKLY;BYDAY=TU,TH | gym
gym mondays and thursdays | 11-30 | WEEKLY;BYDAY=MO,TH | gym
gym on mondays | 11-30 | WEEKLY;BYDAY=MO | gym
gym saturday and sunday | 12-05 | WEEKLY;BYDAY=SA,SU | gym
rest every two weeks on monday and thursday | 11-30 | WEEKLY;INTERVAL=2;BYDAY=MO,TH | rest
rest every other tuesday | 12-01 | WEEKLY;INTERVAL=2;BYDAY=TU | rest
rest biweekly on friday | 12-04 | WEEKLY;INTERVAL=2;BYDAY=FR | rest
rest weekly on tue | 12-01 | WEEKLY;BYDAY=TU | rest
rest every weekend | 12-05 | WEEKLY;BYDAY=SA | rest
rest every morning | 12-01 09:00 | DAILY | rest
rest every night | 11-30 20:00 | DAILY | rest
rest every monday morning | 12-07 09:00 | WEEKLY;BYDAY=MO | rest
rest every monday at noon | 11-30 12:00 | WEEKLY;BYDAY=MO | rest
rest every tuesday! | 12-01 | WEEKLY;BYDAY=TU | rest
rest every 26 nov | 2027-11-26 | YEARLY;BYMONTH=11;BYMONTHDAY=26 | rest
rest every march 3 | 2027-03-03 | YEARLY;BYMONTH=3;BYMONTHDAY=3 | rest
rest every year on 3 march | 2027-03-03 | YEARLY;BYMONTH=3;BYMONTHDAY=3 | rest
rest yearly on march 3 | 2027-03-03 | YEARLY;BYMONTH=3;BYMONTHDAY=3 | rest
rest daily | 11-30 | DAILY | rest
rest daily at 9 | 12-01 09:00 | DAILY | rest
rest weekly | 11-30 | WEEKLY | rest
rest monthly | 11-30 | MONTHLY | rest
rest quarterly | 11-30 | MONTHLY;INTERVAL=3 | rest
rest every monday until 3 feb | 11-30 | WEEKLY;BYDAY=MO;UNTIL=20270203 | rest
rest every day at 8 until tomorrow | 12-01 08:00 | DAILY;UNTIL=20261201 | rest
rest every monday 5 times | 11-30 | WEEKLY;BYDAY=MO;COUNT=5 | rest
rest every day for 10 times | 11-30 | DAILY;COUNT=10 | rest
buy milk and bread every saturday | 12-05 | WEEKLY;BYDAY=SA | buy milk and bread
every monday review PRs | 11-30 | WEEKLY;BYDAY=MO | review PRs
Pay rent on the 15th | 12-15 |  | Pay rent
Pay rent by the 1st | 12-01 |  | Pay rent
Pay rent on the 15th with Bob | 12-15 |  | Pay rent with Bob
Pay rent the 15th | 12-15 |  | Pay rent
Report end of month | 11-30 |  | Report
Report by the end of the month | 11-30 |  | Report
Report at the end of the week | 12-04 |  | Report
Report end of next month | 12-31 |  | Report
Report last day of the month | 11-30 |  | Report
Report by end of year | 12-31 |  | Report
Report eod | 11-30 |  | Report
Report by eow | 12-04 |  | Report
Call Ann tonight | 11-30 20:00 |  | Call Ann
Call Ann tonight at 9 | 11-30 21:00 |  | Call Ann
Call Ann tonight 22:00 | 11-30 22:00 |  | Call Ann
Call Ann tonight at 12 | 11-30 23:59 |  | Call Ann
Call Ann tonight at 12am | 11-30 23:59 |  | Call Ann
Call Ann tonight at 00:30 | 12-01 00:30 |  | Call Ann
Call Ann tonight at 1am | 12-01 01:00 |  | Call Ann
Call Ann tomorrow night at 12:00 | 12-01 23:59 |  | Call Ann
Call Ann tomorrow night at 12:30 | 12-02 00:30 |  | Call Ann
Call Ann friday night at 1 | 12-05 01:00 |  | Call Ann
Call Ann 1:00 at night | 12-01 01:00 |  | Call Ann
Call Ann at 5 at night | 11-30 17:00 |  | Call Ann
Call Ann every night at 12 | 11-30 23:59 | DAILY | Call Ann
Call Ann every night at 1:30 | 12-01 01:30 | DAILY | Call Ann
Call Ann tomorrow evening at 12:30 | 12-02 00:30 |  | Call Ann
Call Ann 12:30 in the morning | 12-01 00:30 |  | Call Ann
Call Ann friday at 12:30 in the morning | 12-04 00:30 |  | Call Ann
Call Ann friday at 12:30 in the afternoon | 12-04 12:30 |  | Call Ann
Call Ann this afternoon | 11-30 15:00 |  | Call Ann
this evening pizza | 11-30 19:00 |  | pizza
Paint this weekend | 12-05 |  | Paint
Paint next weekend | 12-12 |  | Paint
Paint at the weekend | 12-05 |  | Paint
Lunch at noon | 11-30 12:00 |  | Lunch
Lunch tomorrow noon | 12-01 12:00 |  | Lunch
rest friday at midnight | 12-04 23:59 |  | rest
Ship 12/24 | 12-24 |  | Ship
Ship on 12/24 | 12-24 |  | Ship
Ship by 3/4 | 2027-03-04 |  | Ship
Ship 12/24/2026 | 12-24 |  | Ship
Ship 24/12/2026 | 12-24 |  | Ship
Ship 24/12/26 | 12-24 |  | Ship
Ship 1/2/2027 | 2027-01-02 |  | Ship
Ship 1/15 | 2027-01-15 |  | Ship
Ship 2026-12-24 | 12-24 |  | Ship
Ship 2026/12/24 | 12-24 |  | Ship
Ship 2026-12-24T09:30 | 12-24 09:30 |  | Ship
Ship 2026-12-24T09:30Z | 12-24 10:30 |  | Ship
Ship 2026-12-24T09:30:00+09:00 | 12-24 01:30 |  | Ship
Ship 2026-12-24 9:30 | 12-24 09:30 |  | Ship
Ship 2026-12-24, urgent | 12-24 |  | Ship urgent
Ship (2026-12-24) | 12-24 |  | Ship
Review Monday morning | 12-07 09:00 |  | Review
Review tomorrow evening | 12-01 19:00 |  | Review
Review monday in the afternoon | 12-07 15:00 |  | Review
Review by sunday evening | 12-06 19:00 |  | Review
Review at 9 in the evening | 11-30 21:00 |  | Review
Read "tomorrow never dies" tomorrow | 12-01 |  | Read "tomorrow never dies"
Read 'Friday' by monday | 12-07 |  | Read 'Friday'
Say «lunes» tomorrow | 12-01 |  | Say «lunes»
Fix the fri 17:00 bug tomorrow | 12-01 |  | Fix the fri 17:00 bug
rest today | 11-30 |  | rest
rest Tomorrow! | 12-01 |  | rest
rest, tomorrow, maybe | 12-01 |  | rest, maybe
rest tmrw 9am | 12-01 09:00 |  | rest
rest day after tomorrow | 12-02 |  | rest
rest by the day after tomorrow | 12-02 |  | rest
rest today tomorrow | 11-30 |  | rest tomorrow
rest 6pm today | 11-30 18:00 |  | rest
rest today at 5 p.m. | 11-30 17:00 |  | rest
rest at 5 o'clock tomorrow | 12-01 05:00 |  | rest
rest tomorrow at 5 | 12-01 05:00 |  | rest
rest on monday | 12-07 |  | rest
rest this friday | 12-04 |  | rest
rest coming friday | 12-04 |  | rest
rest next friday | 12-11 |  | rest
rest by friday | 12-04 |  | rest
rest due friday | 12-04 |  | rest
rest for friday | 12-04 |  | rest
rest before friday | 12-04 |  | rest
rest (friday) | 12-04 |  | rest
rest (by friday) | 12-04 |  | rest
rest friday. | 12-04 |  | rest
Friday: rest | 12-04 |  | rest
call Ann friday about taxes | 12-04 |  | call Ann about taxes
call Ann tomorrow about taxes | 12-01 |  | call Ann about taxes
call fri 17:00 about taxes | 12-04 17:00 |  | call about taxes
rest fri | 12-04 |  | rest
rest on sat | 12-05 |  | rest
rest sun 10:00 | 12-06 10:00 |  | rest
rest 9:30 monday | 12-07 09:30 |  | rest
rest monday 9:30 | 12-07 09:30 |  | rest
rest next monday at 9:30 | 12-07 09:30 |  | rest
rest mon 7:30 #gym !high | 12-07 07:30 |  | rest
rest next week | 12-07 |  | rest
rest next month | 12-01 |  | rest
rest next year | 2027-01-01 |  | rest
rest in 3 days | 12-03 |  | rest
rest in two weeks | 12-14 |  | rest
rest in a month | 12-30 |  | rest
rest within 3 days | 12-03 |  | rest
rest 3 days from now | 12-03 |  | rest
rest a week from today | 12-07 |  | rest
rest in 2 hrs | 11-30 12:30 |  | rest
rest in half an hour | 11-30 11:00 |  | rest
rest in an hour | 11-30 11:30 |  | rest
rest +2w | 12-14 |  | rest
in 5 minutes rest | 11-30 10:35 |  | rest
rest 26 december | 12-26 |  | rest
rest Dec. 24 | 12-24 |  | rest
rest 5 sept. | 2027-09-05 |  | rest
rest 1st of february | 2027-02-01 |  | rest
rest the 4th of july | 2027-07-04 |  | rest
rest Nov 3, 2027 | 2027-11-03 |  | rest
rest 29 feb | 2028-02-29 |  | rest
rest dec 31 23:59 | 12-31 23:59 |  | rest
rest by 26 dec | 12-26 |  | rest
rest on may 5 | 2027-05-05 |  | rest
Marathon march 3 | 2027-03-03 |  | Marathon
rest 11:00 | 11-30 11:00 |  | rest
rest 17:00 | 11-30 17:00 |  | rest
17:00 rest | 11-30 17:00 |  | rest
5pm rest | 11-30 17:00 |  | rest
rest 5pm | 11-30 17:00 |  | rest
rest 5:30 pm | 11-30 17:30 |  | rest
rest at 5:30pm | 11-30 17:30 |  | rest
rest at 7:30 | 12-01 07:30 |  | rest
rest @17:00 | 11-30 17:00 |  | rest
rest by 5pm | 11-30 17:00 |  | rest
Book table for 17:00 | 11-30 17:00 |  | Book table
rest at 14 | 11-30 14:00 |  | rest
read 1984 on tuesday | 12-01 |  | read 1984
email bob@friday.com tomorrow | 12-01 |  | email bob@friday.com
note 5/6 done on fri | 12-04 |  | note 5/6 done
a tomorrow b | 12-01 |  | a b
rest every 1st and 3rd monday | 12-07 | MONTHLY;BYDAY=1MO,3MO | rest
rest every month on the first and last friday | 12-04 | MONTHLY;BYDAY=1FR,-1FR | rest
rest every 2 weeks friday | 12-04 | WEEKLY;INTERVAL=2 | rest
rest once a week | 11-30 | WEEKLY | rest
rest once a month | 11-30 | MONTHLY | rest
rest friday 🎉 | 12-04 |  | rest 🎉
rest sun 🎉 | 12-06 |  | rest 🎉
rest friday… | 12-04 |  | rest
rest friday - with Bob | 12-04 |  | rest - with Bob
rest @ 5pm | 11-30 17:00 |  | rest
rest 5.30pm | 11-30 17:30 |  | rest
""",
    "es": """
leer mar | 12-01 |  | leer
leer el mar 9:00 | 12-01 09:00 |  | leer
leer mañana | 12-01 |  | leer
leer mañana por la mañana | 12-01 09:00 |  | leer
leer esta noche | 11-30 20:00 |  | leer
leer esta tarde | 11-30 17:00 |  | leer
leer el viernes | 12-04 |  | leer
leer viernes 18 de diciembre | 12-18 |  | leer
leer el viernes, 18 de diciembre a las 10 | 12-18 10:00 |  | leer
leer viernes 17 de diciembre | 12-17 |  | leer
leer el lunes por la mañana | 12-07 09:00 |  | leer
leer el 15 | 12-15 |  | leer
leer el día 15 | 12-15 |  | leer
leer a fin de mes | 11-30 |  | leer
leer a finales de mes | 11-30 |  | leer
leer este fin de semana | 12-05 |  | leer
leer el fin de semana que viene | 12-12 |  | leer
leer al mediodía | 11-30 12:00 |  | leer
leer a medianoche | 11-30 23:59 |  | leer
leer a las 9 | 12-01 09:00 |  | leer
leer a las 9 de la noche | 11-30 21:00 |  | leer
mañana a las 5 de la tarde leer | 12-01 17:00 |  | leer
leer mañana a las 12 de la noche | 12-01 23:59 |  | leer
leer mañana a las 12 y media de la noche | 12-02 00:30 |  | leer
leer a las 2:00 de la noche | 12-01 02:00 |  | leer
leer esta noche a las 2 | 12-01 02:00 |  | leer
leer el viernes a las 2 de la madrugada | 12-04 02:00 |  | leer
leer el viernes a las 12:30 de la madrugada | 12-04 00:30 |  | leer
leer mañana por la madrugada | 12-01 05:00 |  | leer
leer el viernes de madrugada | 12-04 05:00 |  | leer
leer a las 12 de la mañana | 11-30 12:00 |  | leer
leer mañana a las 0:30 de la mañana | 12-01 00:30 |  | leer
leer a las 12:30 de la tarde | 11-30 12:30 |  | leer
leer a las 9 y media | 12-01 09:30 |  | leer
leer a las 17:30 | 11-30 17:30 |  | leer
leer 17h | 11-30 17:00 |  | leer
leer 17h30 | 11-30 17:30 |  | leer
leer hoy | 11-30 |  | leer
leer pasado mañana | 12-02 |  | leer
leer la semana que viene | 12-07 |  | leer
leer el mes que viene | 12-01 |  | leer
leer el año que viene | 2027-01-01 |  | leer
leer en 3 días | 12-03 |  | leer
leer dentro de dos semanas | 12-14 |  | leer
leer en media hora | 11-30 11:00 |  | leer
leer en una hora | 11-30 11:30 |  | leer
leer 24/12 | 12-24 |  | leer
leer 12/24 | 12-24 |  | leer
leer 24/12/2026 | 12-24 |  | leer
leer el 1/2 | 2027-02-01 |  | leer
de lunes a viernes leer | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | leer
leer de lunes a viernes a las 9 | 12-01 09:00 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | leer
leer cada lunes a viernes | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | leer
leer los lunes | 11-30 | WEEKLY;BYDAY=MO | leer
leer los lunes y miércoles | 11-30 | WEEKLY;BYDAY=MO,WE | leer
leer los sábados | 12-05 | WEEKLY;BYDAY=SA | leer
leer cada tercer día | 11-30 | DAILY;INTERVAL=3 | leer
leer cada 3 días | 11-30 | DAILY;INTERVAL=3 | leer
leer cada mes el segundo miércoles | 12-09 | MONTHLY;BYDAY=2WE | leer
leer cada mes el último viernes | 12-25 | MONTHLY;BYDAY=-1FR | leer
leer el primer lunes de cada mes | 12-07 | MONTHLY;BYDAY=1MO | leer
leer cada primer lunes del mes | 12-07 | MONTHLY;BYDAY=1MO | leer
leer el 15 de cada mes | 12-15 | MONTHLY;BYMONTHDAY=15 | leer
leer cada mes el 15 | 12-15 | MONTHLY;BYMONTHDAY=15 | leer
leer cada mes el día 30 o el último | 11-30 | MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1 | leer
leer cada mes el último día | 11-30 | MONTHLY;BYMONTHDAY=-1 | leer
leer el último día de cada mes | 11-30 | MONTHLY;BYMONTHDAY=-1 | leer
leer cada 6 meses el último día | 11-30 | MONTHLY;INTERVAL=6;BYMONTHDAY=-1 | leer
leer cada año el 3 de marzo | 2027-03-03 | YEARLY;BYMONTH=3;BYMONTHDAY=3 | leer
leer cada 3 de marzo | 2027-03-03 | YEARLY;BYMONTH=3;BYMONTHDAY=3 | leer
leer cada mañana | 12-01 09:00 | DAILY | leer
leer todas las noches | 11-30 20:00 | DAILY | leer
leer cada fin de semana | 12-05 | WEEKLY;BYDAY=SA | leer
leer cada dos semanas | 11-30 | WEEKLY;INTERVAL=2 | leer
leer cada 2 semanas el martes | 12-01 | WEEKLY;INTERVAL=2;BYDAY=TU | leer
leer diariamente | 11-30 | DAILY | leer
leer cada trimestre | 11-30 | MONTHLY;INTERVAL=3 | leer
leer entre semana | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | leer
leer lunes y jueves | 11-30 | WEEKLY;BYDAY=MO,TH | leer
lunes, miércoles y viernes a las 7 gimnasio | 12-02 07:00 | WEEKLY;BYDAY=MO,WE,FR | gimnasio
leer cada lunes hasta el 3 de febrero | 11-30 | WEEKLY;BYDAY=MO;UNTIL=20270203 | leer
leer cada lunes 5 veces | 11-30 | WEEKLY;BYDAY=MO;COUNT=5 | leer
leer cada día laborable | 11-30 | WEEKLY;BYDAY=MO,TU,WE,TH,FR | leer
leer 10 mar | 2027-03-10 |  | leer
leer el 10 de marzo de 2027 | 2027-03-10 |  | leer
leer 3 de enero | 2027-01-03 |  | leer
leer "mañana" mañana | 12-01 |  | leer "mañana"
leer antes del viernes | 12-04 |  | leer
leer para el viernes | 12-04 |  | leer
leer próximo martes | 12-01 |  | leer
leer el próximo mar | 12-01 |  | leer
leer dom | 12-06 |  | leer
llamar el lunes a Ana | 12-07 |  | llamar a Ana
llamar lunes a Ana | 12-07 |  | llamar a Ana
comprar el viernes pan | 12-04 |  | comprar pan
todos los lunes leer | 11-30 | WEEKLY;BYDAY=MO | leer
todos los días leer | 11-30 | DAILY | leer
leer cada último día de febrero | 2027-02-28 | YEARLY;BYMONTH=2;BYMONTHDAY=-1 | leer
reunión viernes 13 | 12-13 |  | reunión
leer una vez a la semana | 11-30 | WEEKLY | leer
leer una vez al mes | 11-30 | MONTHLY | leer
leer el viernes 🎉 | 12-04 |  | leer 🎉
""",
}
NO_DATES = {
    "en": """
Look at 5 models
Sell at 3.50
buy one a day
rest every 15th friday
rest every day except sunday
Look at 12 of them
John 3:16
Read John 3:16 aloud
Buy 10 Mar bars
Read the friday report
the tomorrow people
Plan the next week menu
Write monday report
Friday night lights
Watch Monday Night Football
Black Friday sale
Buy on Black Friday
Good Friday dinner
Cyber Monday deals
Sunday school
Sunday roast recipe
notes from last friday
closed since monday
off until friday
don't stop 'til friday
from monday to friday
move talk to friday
Call between 9 and 10am
Meet 9 to 10am
Meet 9-10am
Meet 17:00-18:00
rest 26 - 28 nov
after friday
Tom's friday
monday's agenda
on monday's agenda
today's news
Think about tomorrow
news of today
a weekly thing
write weekly report
my daily standup notes
take the 5pm train
take 5pm train
Fix the 17:00 bug
ratio 16:9
1:1 with Ann
24/7 support
support 24/7
score 3/4
mix 1/2 cup
Add 1/2 kg flour
do 10/20 pages
version 12/24 beta
release v2.12.24
IP 10.0.0.1
call +34 600 123 456
file-2026-12-24.txt
http://x/2026-12-24 read
rest 2026-02-30
rest 2026-13-01
rest 31 feb
rest 31 april
rest at 25:00
rest at 5:75
rest 13pm
rest in 0 days
rest 5 minutes
rest 2 weeks
2 weeks ago
a week ago friday
rest every hour
rest every second counts
rest every 3rd person
rest every now and then
rest every time
everyday carry
every
at
on
May the 4th be with you
Watch May 4 be with you
March 3 miles
March for science
may fix
rest may
august issue
rest 2027
2001 a space odyssey
sat nav
buy a sat nav
buy sun cream
the sun
Read the Sun
I may 5 people
rest on the 2nd floor
rest for the 2nd time
the 1st draft
rest friday 18 people
end of week party
week end
rest in the evening
rest at night
High Noon
Watch High Noon
rest noon
1st place
second hand
rest next tuesday's notes
see (friday or monday)
Version 3. Mar report
Plan for monday meeting
Read "tomorrow never dies"
deploy `on friday`
`npm run friday` docs
“by monday” is a lie
Say 'next week' never
tomorrow
fri 17:00
every monday
#tomorrow
+tomorrow
!tomorrow
Write Saturday, Sunday posts
""",
    "es": """
ver el mar
leer cada día menos el domingo
1/2 kg de arroz
comprar 1/2 kg
leer por la mañana
correr por la tarde
el 15 de copas
plan del fin de semana
mirar a las 5 chicas
leer el lunes pasado
el viernes santo
viernes santo
el mañana
la mañana siguiente
hoy en día
abierto 24/7
leer cada cosa
mi lunes
la reunión de mañana
la reunión del lunes
informe del 15 de mayo
calle 25 de mayo
10 mar barras
10 mar
leer «el lunes»
viaje por mar
dom pérignon
leer sol
sábado sabadete
desde el lunes
hasta mañana
leer el 2 piso
cada uno
a diario leer
informe semanal
ver la mar
la mar salada
mar en calma
2/3 de taza
rest y 5 más
el mes pasado
la semana pasada
pasado el lunes
cada vez
todas las cosas
los miércoles de ceniza
domingo de ramos
en la mañana
leer 31 de febrero
leer a las 25
dormir 8 horas
""",
}


def meaning(line: str, language: str) -> str:
    found = parse(line, now=NOW, zone=MADRID, language=language)
    due = found.due_date or ""
    if "T" in due:
        due = f"{datetime.fromisoformat(due).astimezone(MADRID):%Y-%m-%d %H:%M}"
    rule = found.repeat.removeprefix("FREQ=")
    return f"{line} | {due.removeprefix('2026-')} | {rule} | {found.title}"


def test_there_are_enough_phrases() -> None:
    phrases, no_dates = (
        [line for text in table.values() for line in text.strip().splitlines()]
        for table in (PHRASES, NO_DATES)
    )
    assert len(phrases) + len(no_dates) >= 400 and len(no_dates) >= 150
    assert len(set(phrases + no_dates)) == len(phrases + no_dates)


@pytest.mark.parametrize("language", PHRASES)
def test_each_phrase_is_read_as_it_is_meant(language: str) -> None:
    wanted = PHRASES[language].strip().splitlines()
    assert [meaning(line.split(" | ")[0], language) for line in wanted] == wanted


@pytest.mark.parametrize("language", NO_DATES)
def test_a_phrase_that_is_incomplete_stays_in_the_title(language: str) -> None:
    for line in NO_DATES[language].strip().splitlines():
        found = parse(line, now=NOW, zone=MADRID, language=language)
        assert (found.title, found.due_date, found.repeat, found.understood) == (line, None, "", ())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("next friday", ("2026-12-11", "")),
        ("9:30", ("2026-12-01T08:30:00.000000Z", "")),
        ("noon", ("2026-11-30T11:00:00.000000Z", "")),
        ("3/4", ("2027-03-04", "")),
        ("mon", ("2026-12-07", "")),
        ("2026-11-30T14:00+09:00", ("2026-11-30T05:00:00.000000Z", "")),
        ("every monday at 9", ("2026-12-07T08:00:00.000000Z", "FREQ=WEEKLY;BYDAY=MO")),
        ("every 2 weeks, 5 times", ("2026-11-30", "FREQ=WEEKLY;INTERVAL=2;COUNT=5")),
        ("every day until 2026-11-29", None),
        ("friday or so", None),
        ('"friday"', None),
        ("5", None),
        ("", None),
    ],
)
def test_a_whole_text_may_be_shorter(text: str, meant: tuple[str, str] | None) -> None:
    assert parse_words(text, now=NOW, zone=MADRID) == meant


def test_part_of_today_that_has_ended_is_no_date() -> None:
    evening = NOW.replace(hour=22)  # 23:00
    for line in ("Fix what broke this morning", "Tell what we did this afternoon"):
        assert parse(line, now=evening, zone=MADRID).due_date is None
    assert parse("Call Ann tonight", now=evening, zone=MADRID).due_date == "2026-11-30"


def test_night_after_midnight_is_the_one_that_goes_on() -> None:
    half_past_midnight = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    due = parse("Call Ann tonight at 1", now=half_past_midnight, zone=MADRID).due_date
    assert due == "2026-12-01T00:00:00.000000Z"


@pytest.mark.parametrize("word", ["mon ", "every ", "5 ", "the fri 17:00 ", "at 5 mon, ", "+a "])
def test_a_line_twice_as_long_is_looked_at_twice_as_often(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = list[int](), quick_add._Reader._look
    monkeypatch.setattr(quick_add._Reader, "_look", lambda *of: looks.append(1) or look(*of))
    counts = []
    for length in (450, 900):
        looks.clear()
        parse(word * (length // len(word)), now=NOW)
        counts.append(len(looks))
    assert counts[1] <= 2.2 * counts[0] <= 4_000
