"""Sentence frames of the relation sample, in two parts: those that training has, and those that only test B has.

A frame is ``sentence || triples``. ``{film}`` is a slot, its kind is the name without its number; a slot said twice has one value.
``[a|b|]`` is one of its alternatives. A triple is ``subject predicate value slot=other``; what the sentence does not say drops out of it.
"""

TRAIN = """
《{film}》是由{p1}执导，{p2}、{p3}主演的[电影|电视剧] || film 导演 p1; film 主演 p2; film 主演 p3
{firm}出品的《{film}》由{p1}导演，{p2}编剧 || film 出品公司 firm; film 导演 p1; film 编剧 p2
《{film}》导演：{p1}　编剧：{p2}　主演：{p3} / {p4} || film 导演 p1; film 编剧 p2; film 主演 p3; film 主演 p4
{p1}担任制片人的《{film}》[开机|杀青]，编剧是{p2} || film 制片人 p1; film 编剧 p2
《{film}》制片人{p1}[透露|笑称]，主演{p2}[学了半年木工|每天最早到片场] || film 制片人 p1; film 主演 p2
《{film}》由{firm}出品，制片人是{p} || film 出品公司 firm; film 制片人 p
{p}自导自演的《{film}》只拍了二十天 || film 导演 p; film 主演 p
《{film}》出品公司：{firm}，主题曲：《{song}》 || film 出品公司 firm; film 主题曲 song
《{song}》是[电影|电视剧]《{film}》的主题曲，由{p}演唱 || film 主题曲 song; song 歌手 p
{p}演唱了《{film}》的主题曲《{song}》 || film 主题曲 song; song 歌手 p
《{film}》改编自{p}的小说《{book}》 || film 改编自 book; book 作者 p
根据{p1}[小说|童话]《{book}》改编的《{film}》由{p2}执导 || film 改编自 book; book 作者 p1; film 导演 p2
《{film}》改编自{p}的同名小说 || film 改编自 film; film 作者 p
《{book}》是{p}[创作|写]的[长篇小说|童话]，主角是{r} || book 作者 p; book 主角 r
书名：{book}　作者：{p}　主角：{r} || book 作者 p; book 主角 r
小说《{book}》的主角{r}[是个哑巴|住在钟楼里]，作者{p}[没有解释|想了很久] || book 主角 r; book 作者 p
《{song}》由{p1}作词，{p2}作曲，{p3}演唱 || song 作词 p1; song 作曲 p2; song 歌手 p3
{song} - {p1}　作词：{p2}　作曲：{p3} || song 歌手 p1; song 作词 p2; song 作曲 p3
{p1}作词、{p2}作曲的《{song}》收录在专辑《{album}》中 || song 作词 p1; song 作曲 p2; song 所属专辑 album
{p}演唱的《{song}》[收录于|选自]专辑《{album}》 || song 歌手 p; song 所属专辑 album
《{song}》出自{p}的同名专辑 || song 歌手 p; song 所属专辑 song
{p}包办了《{song}》的作词和作曲 || song 作词 p; song 作曲 p
专辑《{album}》收录了{p}的《{song1}》和《{song2}》 || song1 所属专辑 album; song2 所属专辑 album; song1 歌手 p; song2 歌手 p
《{programme}》由{p1}主持，本期嘉宾是{p2}、{p3} || programme 主持人 p1; programme 嘉宾 p2; programme 嘉宾 p3
{p1}做客《{programme}》，与主持人{p2}[聊起旧事|抢答] || programme 嘉宾 p1; programme 主持人 p2
{p1}与{p2}搭档主持《{programme}》，请来{p3}当嘉宾 || programme 主持人 p1; programme 主持人 p2; programme 嘉宾 p3
{p1}的妻子{p2}毕业于{school} || p1 妻子 p2; p2 丈夫 p1; p2 毕业院校 school
{p1}的丈夫{p2}是{firm}创始人 || p1 丈夫 p2; p2 妻子 p1; firm 创始人 p2
{p1}娶{p2}为妻，[没有摆酒|只请了一桌] || p1 妻子 p2; p2 丈夫 p1
{p1}嫁给了{p2}，[婚礼很小|住在海边] || p1 丈夫 p2; p2 妻子 p1
{p1}的父亲是{p2}，母亲是{p3} || p1 父亲 p2; p1 母亲 p3
{p1}，国籍{land}，[演员|棋手]，父亲{p2} || p1 国籍 land; p1 父亲 p2
{p1}的母亲{p2}祖籍{county} || p1 母亲 p2; p2 祖籍 county
{p1}随母亲{p2}、父亲{p3}[搬家|回乡] || p1 母亲 p2; p1 父亲 p3
{p}，国籍{land}，毕业于{school} || p 国籍 land; p 毕业院校 school
{p}拥有{land}国籍，祖籍{city} || p 国籍 land; p 祖籍 city
{p}祖籍{city}，毕业院校是{school} || p 祖籍 city; p 毕业院校 school
{p}，{dynasty}[诗人|画家]，号{pen_name} || p 朝代 dynasty; p 号 pen_name
{dynasty}[文人|学者]{p}自号{pen_name}，祖籍{county} || p 朝代 dynasty; p 号 pen_name; p 祖籍 county
{p}（号{pen_name}）生活在{dynasty} || p 朝代 dynasty; p 号 pen_name
{school}（简称{short}）成立于{date}，校长{p} || school 简称 short; school 成立日期 date; school 校长 p
{school}校长{p}介绍，校园占地面积{plot} || school 校长 p; school 占地面积 plot
{p}毕业于{school}，现任{branch}校长 || p 毕业院校 school; branch 校长 p
{institute}简称{short}，占地面积{plot} || institute 简称 short; institute 占地面积 plot
{institute}成立于{date}，占地面积{plot} || institute 成立日期 date; institute 占地面积 plot
{institute}（简称{short}）成立日期：{date} || institute 简称 short; institute 成立日期 date
{firm}由{p}创立，成立于{date}，总部位于{city} || firm 创始人 p; firm 成立日期 date; firm 总部地点 city
{firm}创始人兼董事长{p}[把办公室让给了猫|没有出席] || firm 创始人 p; firm 董事长 p
总部设在{city}的{firm}，注册资本{capital} || firm 总部地点 city; firm 注册资本 capital
公司：{firm}　董事长：{p}　注册资本：{capital} || firm 董事长 p; firm 注册资本 capital
{firm}的总部迁往{city}，董事长{p}[第一个报到|没有同行] || firm 总部地点 city; firm 董事长 p
{firm}注册资本{capital}，代言人是{p} || firm 注册资本 capital; firm 代言人 p
{firm}创始人{p1}[请来|签下]代言人{p2} || firm 创始人 p1; firm 代言人 p2
{p1}出任{firm}代言人，董事长{p2}[发了红包|很高兴] || firm 代言人 p1; firm 董事长 p2
{landmark}位于{city}，[门票免费|周一闭馆] || landmark 所在城市 city
{city}的景点{landmark}[正在大修|人山人海] || landmark 所在城市 city
{landmark}坐落于{city}，海拔{height} || landmark 所在城市 city; landmark 海拔 height
{peak}海拔{height}，[终年积雪|适合徒步] || peak 海拔 height
{peak}[主峰|最高处]海拔为{height} || peak 海拔 height
{county}面积{extent}，人口{people} || county 面积 extent; county 人口数量 people
{county}属{climate}，邮政编码{postcode} || county 气候 climate; county 邮政编码 postcode
{county}总面积{extent}，邮政编码：{postcode} || county 面积 extent; county 邮政编码 postcode
{county}人口{people}，气候为{climate} || county 人口数量 people; county 气候 climate
{county}　面积：{extent}　人口：{people}　气候：{climate}　邮编：{postcode} || \
county 面积 extent; county 人口数量 people; county 气候 climate; county 邮政编码 postcode
{land}首都{seat}，官方语言为{language} || land 首都 seat; land 官方语言 language
{land}的首都是{seat}，官方语言是{language} || land 首都 seat; land 官方语言 language
{seat}是{land}的首都，[人们说|通行]官方语言{language} || land 首都 seat; land 官方语言 language
{major}[专业|]的专业代码为{code}，修业年限{years} || major 专业代码 code; major 修业年限 years
专业名称：{major}　专业代码：{code}　修业年限：{years} || major 专业代码 code; major 修业年限 years
{major}修业年限为{years}，专业代码{code} || major 专业代码 code; major 修业年限 years
{p}为《{film}》中的{r}配音 || p 配音 r inWork=film
{r}的配音是{p}，[很多人没听出来|声音沙哑] || p 配音 r
《{film}》配音：{r1} - {p1}，{r2} - {p2} || p1 配音 r1 inWork=film; p2 配音 r2 inWork=film
{p}在《{film}》中饰演{r} || p 饰演 r inWork=film
{r1}（{p1}饰）和{r2}（{p2}饰）[在雨里吵了一架|一起逃走] || p1 饰演 r1; p2 饰演 r2
《{film}》由{p1}执导，{p2}饰演{r} || film 导演 p1; p2 饰演 r inWork=film
{p}在《{film1}》中饰演{r1}，在《{film2}》中饰演{r2} || p 饰演 r1 inWork=film1; p 饰演 r2 inWork=film2
《{film}》将于{date}上映，导演{p} || film 上映时间 date; film 导演 p
《{film}》{date}在{land}上映 || film 上映时间 date inArea=land
《{film}》{date1}在{land1}上映，{date2}在{land2}上映 || film 上映时间 date1 inArea=land1; film 上映时间 date2 inArea=land2
《{film}》{date}上映，票房{gross} || film 上映时间 date; film 票房 gross
《{film}》在{land}[收获|拿下]票房{gross} || film 票房 gross inArea=land
《{film}》{land1}票房{gross1}，{land2}票房{gross2} || film 票房 gross1 inArea=land1; film 票房 gross2 inArea=land2
{p}凭[借|]《{film}》[获得|摘得]第{n}届{award} || p 获奖 award inWork=film period=n
{year}，{p}[获得|荣获]{award} || p 获奖 award onDate=year
{year}，{p}凭借《{film}》获得第{n}届{award} || p 获奖 award inWork=film onDate=year period=n
第{n}届{award}颁给了{p} || p 获奖 award period=n
{p}{year1}凭《{film1}》获得{award1}，{year2}凭《{film2}》获得{award2} || \
p 获奖 award1 inWork=film1 onDate=year1; p 获奖 award2 inWork=film2 onDate=year2
"""

HELD_OUT = """
导演{p1}首次与主演{p2}合作，[两人带着|海报上印着]《{film}》 || film 导演 p1; film 主演 p2
《{film}》的剧本出自编剧{p1}之手，{firm}负责出品，制片人一职交给{p2} || film 编剧 p1; film 出品公司 firm; film 制片人 p2
片尾响起主题曲《{song}》，歌手{p}说《{film}》[像一封旧信|值得再看] || film 主题曲 song; song 歌手 p
《{book}》被搬上银幕，片名改作《{film}》，原著作者{p}很满意 || film 改编自 book; book 作者 p
[读者最爱|人人记得]主角{r}，{p}写《{book}》时却打算删掉这个人物 || book 主角 r; book 作者 p
专辑《{album}》里有一首《{song}》，作曲人{p1}，作词人{p2} || song 所属专辑 album; song 作曲 p1; song 作词 p2
综艺《{programme}》今晚播出，主持人{p1}介绍了嘉宾{p2} || programme 主持人 p1; programme 嘉宾 p2
{p1}有位[开明|寡言]的妻子，名叫{p2} || p1 妻子 p2; p2 丈夫 p1
{p1}出身木匠家庭，父亲叫{p2}，母亲叫{p3} || p1 父亲 p2; p1 母亲 p3
{p}的国籍是{land}，早年从{school}毕业，祖籍地为{county} || p 国籍 land; p 毕业院校 school; p 祖籍 county
{p}是{dynasty}人，别号{pen_name}，[爱吃豆花|不喜出门] || p 朝代 dynasty; p 号 pen_name
校长{p}写道，{school}占地{plot}，街坊习惯简称它为{short} || school 校长 p; school 占地面积 plot; school 简称 short
{date}，{p}创办{firm}，把总部放在{city} || firm 成立日期 date; firm 创始人 p; firm 总部地点 city
注册资本{capital}的{firm}换了人，董事长由{p1}接任，新代言人叫{p2} || firm 注册资本 capital; firm 董事长 p1; firm 代言人 p2
到{city}旅游，[别错过|第一站是]{landmark} || landmark 所在城市 city
登上{peak}[的人都说|才知道]，它的海拔有{height} || peak 海拔 height
全{county}面积约{extent}，人口达{people}，气候属于{climate}，邮编为{postcode} || \
county 面积 extent; county 人口数量 people; county 气候 climate; county 邮政编码 postcode
在{land}，官方语言是{language}，首都设于{seat} || land 官方语言 language; land 首都 seat
报考{major}的考生请填专业代码{code}，修业年限是{years} || major 专业代码 code; major 修业年限 years
配音演员{p}给《{film}》里的{r}[献声|说话] || p 配音 r inWork=film
观众认出，《{film}》中扮演{r}的是{p} || p 饰演 r inWork=film
{date}起，{land}观众可以看到《{film}》上映 || film 上映时间 date inArea=land
《{film}》在{land}的累计票房达到{gross} || film 票房 gross inArea=land
{year}的第{n}届{award}由{p}夺得，获奖作品是《{film}》 || p 获奖 award inWork=film onDate=year period=n
"""


def frames(block: str) -> list[str]:
    """The frames of one of the two blocks, in order."""
    return [line for line in block.replace("\\\n", "").splitlines() if line]
