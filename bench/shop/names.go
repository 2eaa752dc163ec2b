package shop

import "strings"

// people are the names and places of one language. A name that is not written in
// Latin letters has its romanised form after a slash.
type people struct {
	first, last []string
	places      []place
}

// place is where a shopper lives. Daylight saving is left out on purpose: the zone
// database of the machine must not change the stream.
type place struct {
	city, country string
	locale        string
	zone          string // IANA name
	offsetHours   int    // standard time
}

func english() people {
	return people{
		first: strings.Fields(`Emma Oliver Grace Noah Isla Jack Amelia Harry Freya Leo Chloe Oscar Niamh Conor Aoife Liam Maya Ethan Zoe
			Lucas Nora Samuel Hannah Daniel Ruby Adam Alice Thomas Eleanor Joseph Priya Arjun Sofia Mateo Fatima Omar Ingrid Erik Beatrice Hugo`),
		last: strings.Fields(`Walker Hughes Bennett Foster Murphy O'Connor Byrne Clarke Ellis Hayes Morgan Reid Shaw Turner Wallace Young
			Patel Singh Khan Ahmed Rossi Silva Novak Larsen Svensson Dubois Martin Santos Kowalski Jansen Brooks Carter Doyle Fletcher Grant
			Harper Knight Lawson Marsh Parker`),
		places: []place{
			{"London", "GB", "en-GB", "Europe/London", 0}, {"Manchester", "GB", "en-GB", "Europe/London", 0},
			{"Edinburgh", "GB", "en-GB", "Europe/London", 0}, {"Dublin", "IE", "en-IE", "Europe/Dublin", 0},
			{"Cork", "IE", "en-IE", "Europe/Dublin", 0}, {"Amsterdam", "NL", "en-GB", "Europe/Amsterdam", 1},
			{"Stockholm", "SE", "en-GB", "Europe/Stockholm", 1}, {"Lisbon", "PT", "en-GB", "Europe/Lisbon", 0},
			{"New York", "US", "en-US", "America/New_York", -5}, {"Boston", "US", "en-US", "America/New_York", -5},
		},
	}
}

func chinese() people {
	return people{
		first: strings.Fields(`伟/wei 芳/fang 娜/na 敏/min 静/jing 磊/lei 洋/yang 艳/yan 勇/yong 杰/jie 涛/tao 明/ming 超/chao 霞/xia 平/ping
			思远/siyuan 子涵/zihan 雨桐/yutong 浩然/haoran 欣怡/xinyi 梓轩/zixuan 诗琪/shiqi 俊杰/junjie 佳怡/jiayi 晓明/xiaoming 嘉欣/jiaxin
			宇航/yuhang 若曦/ruoxi 一诺/yinuo 文博/wenbo`),
		last: strings.Fields(`王/wang 李/li 张/zhang 刘/liu 陈/chen 杨/yang 黄/huang 赵/zhao 周/zhou 吴/wu 徐/xu 孙/sun 马/ma 朱/zhu 胡/hu
			郭/guo 何/he 林/lin 高/gao 罗/luo 郑/zheng 梁/liang 谢/xie 宋/song 唐/tang 许/xu 邓/deng 冯/feng 韩/han 欧阳/ouyang`),
		places: []place{
			{"上海", "CN", "zh-CN", "Asia/Shanghai", 8}, {"北京", "CN", "zh-CN", "Asia/Shanghai", 8},
			{"深圳", "CN", "zh-CN", "Asia/Shanghai", 8}, {"杭州", "CN", "zh-CN", "Asia/Shanghai", 8},
			{"Singapore", "SG", "zh-SG", "Asia/Singapore", 8}, {"Vienna", "AT", "zh-CN", "Europe/Vienna", 1},
		},
	}
}

func german() people {
	return people{
		first: strings.Fields(`Anna Lukas Lena Felix Marie Jonas Sophie Paul Mia Maximilian Lea Elias Johanna Moritz Klara Jürgen Käthe Sebastian
			Ursula Matthias Greta Florian Annika Björn Theresa Stefan Ida Tobias Birgit Götz`),
		last: strings.Fields(`Müller Schmidt Schneider Fischer Weber Huber Gruber Bauer Steiner Moser Wagner Becker Hoffmann Schäfer Koch Richter
			Klein Wolf Schröder Neumann Zimmermann Krüger Hartmann Lange Köhler Meier Lehmann Böhm Pichler Eder`),
		places: []place{
			{"Berlin", "DE", "de-DE", "Europe/Berlin", 1}, {"Hamburg", "DE", "de-DE", "Europe/Berlin", 1},
			{"München", "DE", "de-DE", "Europe/Berlin", 1}, {"Wien", "AT", "de-AT", "Europe/Vienna", 1},
			{"Graz", "AT", "de-AT", "Europe/Vienna", 1}, {"Zürich", "CH", "de-CH", "Europe/Zurich", 1},
		},
	}
}

// spoken splits a name into the form that is written and the form that fits an address.
func spoken(name string) (written, address string) {
	written, roman, ok := strings.Cut(name, "/")
	if ok {
		return written, roman
	}
	address = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "'", "").Replace(strings.ToLower(name))
	return written, address
}
